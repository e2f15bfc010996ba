"""The HTTP part that every route needs: middleware, problem details, health, /docs, dependencies.

Belongs here: code about HTTP that belongs to no domain. May import: ``startup``,
``replica``, ``mail``, ``migrations``, ``migrate``, ``database``, ``settings``, ``errors``. Imported
by: the domain packages, ``routes``, ``app``, ``cli.serve``.
"""
