"""The registry of tenants. The migration engine writes it; the service reads it."""

from sqlalchemy import CheckConstraint, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from ..database.base import Base, Timestamps


class Tenant(Timestamps, Base):
    """A tenant: an id, and the schema that holds its tables."""

    __tablename__ = "tenants"
    __table_args__ = (
        CheckConstraint(
            "status IN ('provisioning', 'ready', 'behind', 'failed', 'dropping')", name="status"
        ),
        CheckConstraint("schema_name = 'tenant_' || id", name="schema_of_id"),
        Index("tenants_revision_idx", "revision", "status"),
        {"schema": "public"},
    )

    id: Mapped[str] = mapped_column(String(63), primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
    schema_name: Mapped[str] = mapped_column(String(63), unique=True)
    status: Mapped[str] = mapped_column(String(16), server_default="provisioning")
    revision: Mapped[str | None] = mapped_column(String(32))
    error: Mapped[str | None] = mapped_column(Text)
