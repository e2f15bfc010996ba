"""${message.replace("_", " ").capitalize()}."""

import sqlalchemy as sa
from alembic import op
% if mark:

from ${package} import ${mark}
% endif
% if imports:
${imports}
% endif

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


% if mark:
@${mark}
% endif
def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


% if mark:
@${mark}
% endif
def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
