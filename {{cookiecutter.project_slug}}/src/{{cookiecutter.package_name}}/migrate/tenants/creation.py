"""A new tenant and a new revision of ``public`` do not miss each other.

Whoever makes a tenant holds a lock, shared, from the look at public's revision to the commit. Whoever
has migrated public takes it once, alone, before it lists the tenants that are to follow. So a tenant
that was made in time is in the list, and whoever comes later sees public's new revision: an older
release, which cannot bring its tenant there, makes none. Nobody has to look for tenants that were
left behind.
"""

import time
from collections.abc import Collection

from sqlalchemy import Connection, Engine, func, select, text

from ..backends.postgresql.lock import advisory_key
from . import errors

POLL_SECONDS = 0.02
_KEY = advisory_key("creation of tenants")


def check_release(
    connection: Connection, tenant: str, known: Collection[str], version_table: str
) -> None:
    """Let a tenant be made only by a release that knows public's revision. Call it before commit.

    Raises:
        ActionableError: newer-release-began.
    """
    while not connection.scalar(select(func.pg_try_advisory_xact_lock_shared(*_KEY))):
        time.sleep(POLL_SECONDS)  # it is held for no longer than a statement
    revision = connection.scalar(text(f'SELECT version_num FROM public."{version_table}"'))
    if revision is not None and revision not in known:
        raise errors.newer_release_began(tenant, revision)


def wait_for_creations(engine: Engine) -> None:
    """Return when every tenant that is being committed now is committed."""
    while True:
        with engine.begin() as connection:
            if connection.scalar(select(func.pg_try_advisory_xact_lock(*_KEY))):
                return
        time.sleep(POLL_SECONDS)
