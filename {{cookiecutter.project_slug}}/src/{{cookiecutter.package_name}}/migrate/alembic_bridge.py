"""Runs plain Alembic's commands the way the engine runs its own. For ``migrations/env.py``."""

from alembic import context
from sqlalchemy import Engine

from .config import MigrationConfig, context_options
from .folder import honour_attributes, ordered, runs_alone
from .lock import migration_lock
from .transaction import migrating


def run_alembic(engine: Engine, config: MigrationConfig) -> None:
    """Run the command that Alembic was started with.

    Raises:
        MigrationError: another migrator holds the lock.
    """
    scripts = ordered(context.script)
    for script in scripts:
        honour_attributes(script.module)
    options = context_options(config, engine.dialect.name)
    options["transaction_per_migration"] = any(map(runs_alone, scripts))
    if context.is_offline_mode():
        context.configure(
            url=engine.url, literal_binds=True, dialect_opts={"paramstyle": "named"}, **options
        )
        with context.begin_transaction():
            context.run_migrations()
        return
    with (
        migration_lock(engine, config.lock_timeout) as lock,
        migrating(engine, config, lock.verify) as connection,
    ):
        context.configure(connection=connection, **options)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()
