"""The base class of all models, and their common columns."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from sqlalchemy import MetaData, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from .backend import NEW_ID, UuidType
from .types import UtcDateTime, utc_now

# PostgreSQL's own naming, so that a constraint has the same name whoever created it.
NAMING_CONVENTION = {
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "pk": "%(table_name)s_pkey",
}


class Base(DeclarativeBase):
    """Every model inherits from this."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {datetime: UtcDateTime, UUID: UuidType}  # noqa: RUF012


UuidKey = Annotated[UUID, mapped_column(UuidType, primary_key=True, **NEW_ID)]


class Timestamps:
    """Columns with the times of a row's creation and of its last change."""

    created_at: Mapped[datetime] = mapped_column(default=utc_now, server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(
        default=utc_now, onupdate=utc_now, server_default=func.now()
    )
