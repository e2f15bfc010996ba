"""The tenants."""

from django_tenants.models import DomainMixin, TenantMixin


class Client(TenantMixin):
    """A tenant; saving a new one creates and migrates its schema."""

    auto_create_schema = True


class Domain(DomainMixin):
    """django-tenants requires one."""
