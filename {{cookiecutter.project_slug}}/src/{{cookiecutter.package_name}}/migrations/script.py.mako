"""${message.replace("_", " ").capitalize()}."""

import sqlalchemy as sa
from alembic import op
% if imports:
${imports}
% endif
% if backfill:

from ${engine} import Backfill
% endif

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}
% if phase != "expand":
phase = ${repr(phase)}
% endif
% if outside_transaction:
transaction = False
% endif
% if schemas:
schemas = ${repr(schemas)}
% endif
% if backfill:

# An example: name your table, and for each column its new value as SQL. The rows are updated in
# small transactions after this migration; a contract waits for the end of the updates.
backfill = ${backfill}
% endif


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
