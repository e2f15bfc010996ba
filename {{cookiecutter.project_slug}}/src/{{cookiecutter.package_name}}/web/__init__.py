"""What every route needs: middleware, problem details, health, the API's page, dependencies.

Belongs here: what is about HTTP and about no domain. May import: ``startup``, ``mail``,
``migrate``, ``database``, ``settings``, ``errors``. Imported by: the domain packages, ``routes``,
``app``.
"""
