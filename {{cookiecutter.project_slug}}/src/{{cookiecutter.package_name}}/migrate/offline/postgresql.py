"""Prints SQL through Alembic's offline mode."""

import io
from typing import TYPE_CHECKING

from sqlalchemy import Engine, text

from .. import errors
from ..config import MigrationConfig, default_config
from ..folder import Folder, runs_alone
from ..history import HistoryWriter
from ..plan import check_contracts_known, find_ahead, make_plan, read_state
from ..rolling.gate import as_comment, look_at_gate
from ..runner import check_unchanged
from ..select import all_pending

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext

# If the script fails, psql must exit with an error, and the transaction must be undone.
STOP_ON_ERROR = "\\set ON_ERROR_STOP on\n"


def migration_sql(engine: Engine, *, config: MigrationConfig | None = None) -> str:
    """The SQL that :func:`run_migrations` would run on this database now, for psql.

    Changes nothing.

    Raises:
        ActionableError: cannot-write-sql, or the folder has errors.
    """
    from ..alembic_bridge import print_steps
    from ..alembic_options import context_options

    config = config or default_config()
    folder, state = Folder(config), read_state(engine, config)
    if ahead := find_ahead(folder, state):
        check_contracts_known(ahead)
        return ""
    plan = make_plan(folder, state)
    chosen = all_pending(plan)
    held = look_at_gate(engine, config, folder, chosen)
    scripts = held.before(chosen)
    waits = as_comment(held.names, held.by)
    check_unchanged(plan)
    if not scripts:
        return waits
    writer = HistoryWriter(config, plan.state.columns)

    def first(context: "MigrationContext") -> None:
        milliseconds = int(config.table_lock_timeout * 1000)
        context.execute(text(f"SET lock_timeout = {milliseconds}"))
        if plan.unrecorded() or plan.gone():
            writer.take_over(context, plan.unrecorded(), plan.gone())

    output = io.StringIO()
    try:
        print_steps(
            output,
            engine.url,
            plan.folder.directory,
            scripts,
            heads=plan.state.heads,
            has_version_table=plan.state.has_version_table,
            each_alone=any(map(runs_alone, scripts)),
            first=first,
            options=context_options(config, writer),
        )
    except Exception as error:
        raise errors.cannot_write_sql(error) from error
    return STOP_ON_ERROR + output.getvalue() + waits
