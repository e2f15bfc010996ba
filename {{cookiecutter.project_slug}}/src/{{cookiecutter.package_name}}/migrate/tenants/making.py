"""The configuration for making a migration of tenants' or of shared tables."""

from dataclasses import replace

from sqlalchemy import Engine

from ..backends import backend
from ..config import MigrationConfig
from ..folder import Folder
from . import errors
from .listing import check_registry
from .one_tenant import head_of
from .registry import Registry
from .scope import TenantScope, refuse_foreign_keys_to_shared


def config_for_making(
    engine: Engine, config: MigrationConfig, *, shared: bool, blank: bool = False
) -> MigrationConfig:
    """The configuration for making a migration: models are compared with a tenant's schema.

    Args:
        shared: the migration is for ``public``.
        blank: nothing will be compared.

    Raises:
        ActionableError: no tenant is ready, or a tenant's table refers to ``public``.
    """
    refuse_foreign_keys_to_shared(config.load_metadata())
    if shared:
        return config
    head = head_of(Folder(config))
    tenant = "any" if blank else _tenant_at(engine, head)
    scope = TenantScope(tenant, head, role=config.tenant_roles, version_table=config.version_table)
    return replace(config, scope=scope)


def _tenant_at(engine: Engine, head: str | None) -> str:
    check_registry(engine)
    with backend.reading(engine) as connection:
        tenant = Registry(connection).find_ready(head)
    if tenant is None:
        raise errors.no_ready_tenant()
    return tenant
