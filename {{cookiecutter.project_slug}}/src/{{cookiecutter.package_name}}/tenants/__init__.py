"""Routes for administrators to create, list and remove tenants.

Belongs here: the registry's model and its routes. May import: ``web``, ``migrations``,
``migrate``, ``database``, ``settings``, ``errors``. Imported by: ``routes``, ``operations``.
``web.request_tenant`` finds the tenant of a request; ``database.tenant_session`` makes its session.
"""
