"""Create users table."""

import sqlalchemy as sa
from alembic import op

revision = "001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", {{ cookiecutter.__id_column }}, nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("email_verified", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("verification_token", sa.String(64)),
        sa.Column("verification_token_expires_at", sa.DateTime(timezone=True)),
        sa.Column("last_login_at", sa.DateTime(timezone=True)),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.Column(
            "updated_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name="users_pkey"),
    )
    op.create_index("users_email_idx", "users", ["email"], unique=True)
    op.create_index("users_email_verified_idx", "users", ["email_verified"])
    op.create_index("users_is_active_idx", "users", ["is_active"])
    op.create_index("users_verification_token_idx", "users", ["verification_token"])
    op.create_index("users_created_at_idx", "users", ["created_at"])
    op.create_index("users_active_verified_idx", "users", ["is_active", "email_verified"])


def downgrade() -> None:
    op.drop_table("users")
