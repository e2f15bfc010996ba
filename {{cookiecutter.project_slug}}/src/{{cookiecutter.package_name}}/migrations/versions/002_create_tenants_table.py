"""Create tenants table: the registry, in the shared schema."""

import sqlalchemy as sa
from alembic import op

revision = "002"
down_revision = "001"
branch_labels = None
depends_on = None
schemas = "shared"
makes_registry = True  # not undone while there are tenants


def upgrade() -> None:
    op.create_table(
        "tenants",
        sa.Column("id", sa.String(63), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("schema_name", sa.String(63), nullable=False),
        sa.Column("status", sa.String(16), server_default="provisioning", nullable=False),
        sa.Column("revision", sa.String(32)),
        sa.Column("error", sa.Text()),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.Column(
            "updated_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name="tenants_pkey"),
        sa.UniqueConstraint("schema_name", name="tenants_schema_name_key"),
        sa.CheckConstraint(
            "status IN ('provisioning', 'ready', 'behind', 'failed', 'dropping')", name="status"
        ),
        sa.CheckConstraint("schema_name = 'tenant_' || id", name="schema_of_id"),
        schema="public",
    )
    op.create_index("tenants_revision_idx", "tenants", ["revision", "status"], schema="public")


def downgrade() -> None:
    if op.get_bind().scalar(sa.text("SELECT count(*) FROM public.tenants")):
        raise RuntimeError("there are tenants: drop them first (tenant drop ID --yes)")
    op.drop_table("tenants", schema="public")
