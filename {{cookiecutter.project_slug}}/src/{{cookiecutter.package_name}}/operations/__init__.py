"""Views for operators: JSON, a status page, metrics. A read-only interface to ``migrate``.

Belongs here: code that shows the state of the service and its migrations; the command line changes
them. The only action here is a comparison, which changes nothing. May import: ``web``,
``tenants``, ``migrations``, ``migrate``, ``mail``, ``database``, ``settings``, ``observability``,
``errors``. Imported by: ``routes``, ``app``, ``cli``.
"""
