"""What operators see: JSON, a status page, metrics. A read-only face of ``migrate``.

Belongs here: whatever shows how the service and its migrations are; what changes them is for the
command line. The one thing that is done here is a comparison, which changes nothing. May import: ``web``, ``migrations``, ``migrate``, ``mail``, ``database``,
``settings``, ``errors``. Imported by: ``routes``, ``app``.
"""
