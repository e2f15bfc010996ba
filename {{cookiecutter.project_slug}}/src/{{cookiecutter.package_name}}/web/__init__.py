"""What every route leans on: middleware, problem details, health, the API's page, dependencies.

Belongs here: what is about HTTP and about no domain. May import: ``tenants``, ``startup``,
``database``, ``settings``, ``errors``. Imported by: the domain packages, ``routes``, ``app``.
"""
