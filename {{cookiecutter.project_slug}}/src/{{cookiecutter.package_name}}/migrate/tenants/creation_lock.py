"""The lock between the creation of a tenant and a migration of ``public``.

The tenant's schema is created in ``scope``.

A process that creates a tenant holds a shared lock from reading public's revision to its commit. A
process that has migrated public takes the lock exclusively once, before it lists the tenants to
migrate. So a tenant that was created before is in the list, and a later creation sees public's new
revision: an older release, which does not have that revision, creates no tenant. So no tenant is
left behind.
"""

import time
from collections.abc import Collection

from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from ..backends import backend
from ..backends.postgresql.lock import advisory_key
from . import errors

POLL_SECONDS = 0.02
_KEY = advisory_key("creation of tenants")


def check_release(
    connection: Connection, tenant: str, known: Collection[str], version_table: str
) -> None:
    """Refuse to create a tenant if this release lacks public's revision. Call it before the commit.

    Raises:
        ActionableError: newer-release-began.
    """
    while not connection.scalar(select(func.pg_try_advisory_xact_lock_shared(*_KEY))):
        time.sleep(POLL_SECONDS)  # it is held only for one statement
    revision = connection.scalar(text(f'SELECT version_num FROM public."{version_table}"'))
    if revision is not None and revision not in known:
        raise errors.newer_release_began(tenant, revision)


def wait_for_creations(engine: Engine) -> None:
    """Wait until every creation that is now before its commit is committed.

    Raises:
        ActionableError: database-away, database-refuses.
    """
    while not _is_free(engine):
        time.sleep(POLL_SECONDS)


def _is_free(engine: Engine) -> bool:
    try:
        with engine.begin() as connection:
            return bool(connection.scalar(select(func.pg_try_advisory_xact_lock(*_KEY))))
    except SQLAlchemyError as error:
        raise backend.explain(engine, error) from error
