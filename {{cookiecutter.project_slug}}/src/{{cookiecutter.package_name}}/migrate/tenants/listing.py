"""Reads the registry: lists, finds and counts tenants."""

from sqlalchemy import Engine

from ..backends import backend
from . import errors
from .registry import Registry, TenantRow


def check_registry(engine: Engine) -> None:
    """Refuse to work with tenants if there is no registry.

    Raises:
        ActionableError: the shared schema is not migrated.
    """
    with backend.reading(engine) as connection:
        if Registry(connection).exists():
            return
    raise errors.no_registry()


def list_tenants(
    engine: Engine, *, after: str = "", limit: int | None = None, failed: bool = False
) -> list[TenantRow]:
    """Tenants by id, starting after ``after``, at most ``limit``.

    Args:
        failed: only tenants whose last migration failed.

    Raises:
        ActionableError: no-registry, database-away, database-refuses.
    """
    check_registry(engine)
    with backend.reading(engine) as connection:
        return Registry(connection).page(after, limit, failed=failed)


def find_tenant(engine: Engine, tenant: str) -> TenantRow:
    """One tenant.

    Raises:
        ActionableError: no-such-tenant, no-registry, database-away, database-refuses.
    """
    check_registry(engine)
    with backend.reading(engine) as connection:
        row = Registry(connection).find(tenant)
    if row is None:
        raise errors.no_such_tenant(tenant)
    return row


def count_tenants_behind(engine: Engine, revision: str | None) -> int:
    """The number of tenants that are not ready at ``revision``.

    Raises:
        ActionableError: no-registry, database-away, database-refuses.
    """
    check_registry(engine)
    with backend.reading(engine) as connection:
        return Registry(connection).count_behind(revision)


def count_by_revision(engine: Engine) -> list[tuple[str | None, str, int]]:
    """Revision, status, and the number of tenants with both.

    Raises:
        ActionableError: no-registry, database-away, database-refuses.
    """
    check_registry(engine)
    with backend.reading(engine) as connection:
        return Registry(connection).count_by_revision()
