"""The migration engine: Knex's habits on Alembic's engine.

A thin layer that does not depend on this service: it gets an Engine
and a :class:`MigrationConfig`. Functions that change the database do not raise for a failed
migration; they return a :class:`MigrationResult`.

Belongs here: everything about applying, undoing and making migrations. May import: ``errors``;
``config`` gets the service's configuration from ``migrations`` when it is first needed. Imported
by: ``migrations``, ``startup``, ``replica``, ``web``, ``cli`` and the domain packages; they import
names only from this package.
"""

from typing import TYPE_CHECKING

from . import exports
from .exports import *  # noqa: F403

if TYPE_CHECKING:  # types for annotations of the command line
    from .lint import Report as Report

__all__ = exports.__all__
