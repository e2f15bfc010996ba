"""Tenants, as administrators make, list and remove them.

Belongs here: the registry's model and its routes. May import: ``web``, ``migrate``, ``database``,
``settings``, ``errors``. Imported by: ``routes``. Which tenant a request is for is in
``web.request_tenant``; what its session sees is in ``database.tenant_session``.
"""
