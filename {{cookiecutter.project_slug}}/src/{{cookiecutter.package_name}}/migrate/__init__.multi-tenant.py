"""The migration engine: Knex's habits on Alembic's engine.

A thin layer that could be lifted out of this service: it knows only what it is handed, an Engine
and a :class:`MigrationConfig`. Functions that change the database never raise for a migration
that failed; they return a :class:`MigrationResult`.

Belongs here: everything about applying, undoing and making migrations. May import: ``errors``.
Imported by: ``migrations``, ``startup``, ``cli``; they import names from this face and from
``migrate.tenants`` alone.
"""

from typing import TYPE_CHECKING

from . import api, tenants
from .api import *  # noqa: F403
from .tenants import *  # noqa: F403
from .tenants.decorators import shared_only, tenant_only

if TYPE_CHECKING:  # the command line's names for what it is handed
    from .lint import Report as Report

__all__ = api.__all__ + tenants.__all__ + ["shared_only", "tenant_only"]
