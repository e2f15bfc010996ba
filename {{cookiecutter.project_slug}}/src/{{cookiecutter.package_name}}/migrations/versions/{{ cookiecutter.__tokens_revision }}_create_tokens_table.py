"""Create tokens table: the signed tokens that are still good."""

import sqlalchemy as sa
from alembic import op

revision = "{{ cookiecutter.__tokens_revision }}"
down_revision = "{{ cookiecutter.__tokens_follow }}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", {{ cookiecutter.__uuid_type }}, nullable=False),
        sa.Column("user_id", {{ cookiecutter.__uuid_type }}, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="tokens_pkey"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="tokens_user_id_fkey", ondelete="CASCADE"
        ),
    )
    op.create_index("tokens_user_id_idx", "tokens", ["user_id"])


def downgrade() -> None:
    op.drop_table("tokens")
