"""Runs plain Alembic's commands in the same way as the engine's, for ``migrations/env.py``."""

from collections.abc import Callable

from alembic import context
from sqlalchemy import Connection, Engine

from .alembic_bridge import command_name
from .alembic_options import context_options
from .backends import backend
from .config import MigrationConfig
from .confirm import confirm_undoing
from .folder import honour_attributes, runs_alone
from .history import HistoryWriter, read_columns
from .lock import migration_lock

# These commands change nothing, so they take no lock.
READING = {"branches", "check", "current", "heads", "history", "revision", "show"}


def run_alembic(
    connect: Callable[[], Engine], config: MigrationConfig, *, asks_before_undoing: bool = False
) -> None:
    """Run the command that Alembic was started with.

    A connection or an engine in ``config.attributes["connection"]`` replaces the service's own, as
    in Alembic's cookbook.

    Args:
        connect: returns the service's engine.
        asks_before_undoing: whether ``downgrade`` needs a confirmation, on the terminal or by
            ``-x yes=1``.

    Raises:
        ActionableError: another migrator holds the lock, or it was not confirmed.
    """
    handed: Engine | Connection | None = context.config.attributes.get("connection")
    scripts = list(context.script.walk_revisions())
    for script in scripts:
        honour_attributes(script.module)
    each_alone = any(map(runs_alone, scripts))
    command = command_name(context.config)
    if command == "downgrade" and asks_before_undoing and handed is None:
        confirm_undoing(
            "alembic -x yes=1 downgrade …",
            confirmed=bool(context.get_x_argument(as_dictionary=True).get("yes")),
        )
    if context.is_offline_mode():
        _print(connect(), config, each_alone=each_alone)
    elif isinstance(handed, Connection):
        _run(handed, config, each_alone=each_alone)
    else:
        engine = handed or connect()
        try:
            _run_on(engine, config, each_alone=each_alone, reads=command in READING)
        finally:
            if handed is None:
                engine.dispose()


def _run_on(engine: Engine, config: MigrationConfig, *, each_alone: bool, reads: bool) -> None:
    if reads:
        with backend.reading(engine, config.scope) as connection:
            _run(connection, config, each_alone=each_alone)
        return
    with (
        migration_lock(engine, config.lock_timeout) as lock,
        backend.migrating(engine, config, lock.verify) as connection,
    ):
        _run(connection, config, each_alone=each_alone)


def _run(connection: Connection, config: MigrationConfig, *, each_alone: bool) -> None:
    writer = HistoryWriter(config, _columns(connection, config))
    with backend.row_checks(connection) as check_rows:
        context.configure(
            connection=connection,
            transaction_per_migration=each_alone,
            **context_options(config, check_rows, writer),
        )
        with context.begin_transaction():
            context.run_migrations()


def _print(engine: Engine, config: MigrationConfig, *, each_alone: bool) -> None:
    context.configure(
        url=engine.url,
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
        transaction_per_migration=each_alone,
        **context_options(config, HistoryWriter(config, frozenset())),
    )
    with context.begin_transaction():
        context.run_migrations()


def _columns(connection: Connection, config: MigrationConfig) -> frozenset[str]:
    # A query begins a transaction, and Alembic does not commit a transaction that it did not begin.
    was_begun = connection.in_transaction()
    columns = read_columns(connection, config)
    if not was_begun:
        connection.rollback()
    return columns
