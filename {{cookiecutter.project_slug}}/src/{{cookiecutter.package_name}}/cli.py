"""The command line. ``make`` targets are thin names for it.

Imports sit inside the commands: asking for a status need not load a web framework.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from .errors import Problem

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from .migrate import MigrationConfig, MigrationResult

SEEDS = Path(__file__).parent / "seeds"

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
migrate = typer.Typer(no_args_is_help=True, help="Change the database's schema, in Knex's words.")
seed = typer.Typer(no_args_is_help=True, help="Put first or demonstration rows into the database.")
app.add_typer(migrate, name="migrate")
app.add_typer(seed, name="seed")

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Also print the names.")]
OptionalName = Annotated[
    str | None, typer.Argument(help="File name, revision, or the name typed at make.")
]


def main() -> NoReturn:
    """Run the command line. Exit 0: done or nothing to do; 1: failed; 2: misuse."""
    from .migrate.results import MigrationError

    try:
        app()
    except (Problem, MigrationError) as error:
        print(error, file=sys.stderr)
    sys.exit(1)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on. Default: PORT.")] = None,
    reload: Annotated[bool, typer.Option(help="Start again when a file changes.")] = False,
) -> None:
    """Migrate, then answer requests until Ctrl-C."""
    import signal

    import uvicorn

    from .database.backend import connect
    from .settings import load_settings

    settings = load_settings()
    # Uvicorn hands the signal back when it has shut down; leaving through SystemExit lets the
    # embedded database, if there is one, stop as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if reload:
        # The reloader kills its children: an embedded database must belong to this process.
        url = connect(settings).url.render_as_string(hide_password=False)
        os.environ["DATABASE_URL"] = url
    host, port = host or settings.host, port or settings.port
    print(f"http://{host}:{port} (Ctrl-C stops it)", file=sys.stderr)
    uvicorn.run(
        f"{__package__}.app:create_app",
        factory=True,
        host=host,
        port=port,
        reload=reload,
        reload_dirs=[str(Path(__file__).parent)] if reload else None,
        log_config=None,
        access_log=False,
    )


@migrate.command("make")
def migrate_make(
    name: Annotated[str, typer.Argument(help="What it does: add_user_avatar")],
    empty: Annotated[bool, typer.Option(help="Leave the file blank.")] = False,
    merge: Annotated[bool, typer.Option(help="Join several last migrations.")] = False,
) -> None:
    """Write a migration, filled in from the difference between models and database."""
    from .migrate import make_migration

    with _database() as (engine, config):
        new = make_migration(engine, name, empty=empty, merge=merge, config=config)
    print(f"Created {_relative(new.path)}")
    if new.note:
        print(f"It is blank: {new.note}")


@migrate.command("latest")
def migrate_latest(
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL; change nothing.")] = False,
    allow_changed: Annotated[
        bool, typer.Option("--allow-changed", help="Accept applied files that changed since.")
    ] = False,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Apply all pending migrations as one batch."""
    from .migrate import migration_sql, run_migrations

    with _database() as (engine, config):
        if sql:
            print(migration_sql(engine, config=config), end="")
            return
        result = run_migrations(engine, config=config, allow_changed=allow_changed)
    _report(result, "run", verbose=verbose, as_json=as_json)


@migrate.command("up")
def migrate_up(name: OptionalName = None, verbose: Verbose = False, as_json: Json = False) -> None:
    """Apply the next pending migration as its own batch."""
    from .migrate import migrate_up

    with _database() as (engine, config):
        result = migrate_up(engine, name, config=config)
    _report(result, "run", verbose=verbose, as_json=as_json)


@migrate.command("down")
def migrate_down(
    name: OptionalName = None, verbose: Verbose = False, as_json: Json = False
) -> None:
    """Undo the newest applied migration."""
    from .migrate import migrate_down

    with _database() as (engine, config):
        result = migrate_down(engine, name, config=config)
    _report(result, "rolled back", verbose=verbose, as_json=as_json)


@migrate.command("rollback")
def migrate_rollback(
    everything: Annotated[bool, typer.Option("--all", help="Undo all batches.")] = False,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Undo the newest batch, last applied first."""
    from .migrate import rollback_migrations

    with _database() as (engine, config):
        result = rollback_migrations(engine, everything=everything, config=config)
    _report(result, "rolled back", verbose=verbose, as_json=as_json, everything=everything)


@migrate.command("status")
def migrate_status(as_json: Json = False) -> None:
    """Say where the database stands and whether all is in order, and list the migrations."""
    from .migrate import get_migration_status
    from .output import print_status, summary

    with _database() as (engine, config):
        status = get_migration_status(engine, config=config)
    if not as_json:
        print(summary(status))
    print_status(status, as_json=as_json)


@migrate.command("list")
def migrate_list(as_json: Json = False) -> None:
    """List completed and pending migrations."""
    from .migrate import get_migration_status
    from .output import print_status

    with _database() as (engine, config):
        print_status(get_migration_status(engine, config=config), as_json=as_json)


@migrate.command("current")
def migrate_current() -> None:
    """Print the current revision, or none."""
    from .migrate import get_migration_status

    with _database() as (engine, config):
        print(get_migration_status(engine, config=config).current or "none")


@migrate.command("unlock")
def migrate_unlock(
    force: Annotated[bool, typer.Option("--force", help="End the holder's session.")] = False,
) -> None:
    """Show who migrates now. The lock ends with its holder: there is seldom need for more."""
    from .migrate import get_lock_holder, unlock

    with _database() as (engine, _):
        holder = unlock(engine) if force else get_lock_holder(engine)
    if holder is None:
        print("Nobody holds the migration lock")
    else:
        print(f"{'Ended' if force else 'Held by'} {holder}")


@seed.command("make")
def seed_make(name: Annotated[str, typer.Argument(help="What it adds: demo_users")]) -> None:
    """Write a blank seed."""
    from .migrate.seeds import make_seed

    print(f"Created {_relative(make_seed(SEEDS, name))}")


@seed.command("run")
def seed_run(
    name: OptionalName = None,
    force: Annotated[bool, typer.Option("--force", help="Also in production.")] = False,
) -> None:
    """Run all seeds in file order, or one."""
    from .migrate.seeds import run_seeds
    from .settings import load_settings

    if load_settings(serving=False).in_production and not force:
        raise Problem(
            "Seeds are for development, and ENVIRONMENT is production.",
            "Nothing was run: demonstration rows have no place among real ones.",
            "If it must be: seed run --force",
        )
    with _database() as (engine, _):
        names = run_seeds(engine, SEEDS, name)
    print(f"Ran {len(names)} seeds", *names, sep="\n")


@contextmanager
def _database() -> "Iterator[tuple[Engine, MigrationConfig]]":
    from .database.backend import connect
    from .migrations import config_for
    from .settings import load_settings

    settings = load_settings(serving=False)
    engine = connect(settings)
    try:
        yield engine, config_for(settings)
    finally:
        engine.dispose()


def _report(result: "MigrationResult", done: str, **how: bool) -> None:
    from .output import print_result

    print_result(result, done, **how)
    result.raise_for_error()


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
