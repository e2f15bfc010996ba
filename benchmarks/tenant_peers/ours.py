"""Ours, raw psql with the same statements, and Alembic in a loop; runs inside a baked service.

Arguments: the server's address, tenants per round, rounds, tenants that get a column, tenants idle.
Prints one JSON line for each measurement.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from shutil import copytree

import psycopg
import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from my_service import migrations
from my_service.database.backend import connect
from my_service.migrate import run_all_tenant_migrations
from my_service.migrate.alembic_options import context_options
from my_service.migrate.folder import Folder
from my_service.migrate.tenants import TenantScope, bulk
from my_service.migrate.tenants.replay import Replay
from my_service.settings import Settings

COLUMN = """
import sqlalchemy as sa
from alembic import op
revision = "{this:03}"
down_revision = "{after:03}"
def upgrade():
    op.add_column("users", sa.Column("column_{this}", sa.Text))
def downgrade():
    op.drop_column("users", "column_{this}")
"""

server, *numbers = sys.argv[1:]
PER_ROUND, ROUNDS, COLUMNS, IDLE = map(int, numbers)
WARM = 10
made = WARM + 3 * PER_ROUND * ROUNDS
if made >= COLUMNS:
    sys.exit(f"The rounds make {made} tenants: set TENANTS_COLUMNS to more than that.")
folder = Path(tempfile.mkdtemp()) / "migrations"
copytree(migrations.config.directory, folder)
config = replace(migrations.config, directory=folder)


def say(task: str, who: str, tenants: int, seconds: float, **more: float) -> None:
    """Print a measurement."""
    print(
        json.dumps(dict(task=task, who=who, tenants=tenants, seconds=seconds, **more)), flush=True
    )


def timed(act: Callable[[], object]) -> float:
    """The time in seconds."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def address(database: str) -> sa.URL:
    """The address of a database on the server."""
    return sa.make_url(server).set(drivername="postgresql+psycopg", database=database)


def on(database: str) -> sa.Engine:
    """The service's engine on a database."""
    url = address(database).render_as_string(hide_password=False)
    return connect(Settings(_env_file=None, environment="development", database_url=url))


def administer(statement: str) -> None:
    """Run a statement outside a transaction."""
    url = address("postgres").set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(statement)


def register(engine: sa.Engine, prefix: str, count: int) -> list[str]:
    """Tenants to create."""
    names = [f"{prefix}_{n}" for n in range(count)]
    insert = sa.text("INSERT INTO public.tenants (id, name, schema_name) VALUES (:n, :n, :s)")
    with engine.begin() as connection:
        connection.execute(insert, [{"n": name, "s": f"tenant_{name}"} for name in names])
    return names


def migrate(engine: sa.Engine, workers: int) -> None:
    """Migrate all tenants."""
    bulk.WORKERS = workers
    run = run_all_tenant_migrations(engine, config=config)
    assert run.success, run.failed[:1]


def recorded(engine: sa.Engine) -> Replay:
    """The recording that the next run would replay; it is caught, and nothing is replayed."""
    caught: list[Replay] = []

    class Caught(Exception):
        pass

    def catch(self: bulk.BulkMigration, replay: Replay, *_: object) -> None:
        caught.append(replay)
        raise Caught

    replay, bulk.BulkMigration._replay = bulk.BulkMigration._replay, catch
    with suppress(Caught):
        run_all_tenant_migrations(engine, config=config)
    bulk.BulkMigration._replay = replay
    return caught[0]


def psql(engine: sa.Engine, replay: Replay, names: list[str]) -> float:
    """Raw psql: the same statements as a replay, one transaction for each tenant."""
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with (
        tempfile.NamedTemporaryFile("w", suffix=".sql") as file,
        psycopg.connect(url) as connection,
    ):
        cursor = psycopg.ClientCursor(connection)
        for name in names:
            for transaction in replay.transactions(name):
                file.write("BEGIN;\n")
                for query, values, many, _ in transaction:
                    for row in values if many else [values]:
                        file.write(f"{cursor.mogrify(query, row) if row else query};\n")
                file.write("COMMIT;\n")
        file.flush()
        command = [
            "psql",
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-o",
            "/dev/null",
            "-f",
            file.name,
            url,
        ]
        return timed(lambda: subprocess.run(command, check=True))


def alembic(engine: sa.Engine, names: list[str]) -> None:
    """Plain Alembic in a loop: the files are loaded once, and one connection serves all."""
    scripts = Folder(config).directory
    with engine.connect() as connection:
        for name in names:
            scoped = replace(config, scope=TenantScope(name, None))
            options = context_options(scoped)
            schema = f"tenant_{name}"
            connection.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
            connection.exec_driver_sql(f'SET search_path TO "{schema}"')
            connection.commit()
            steps = lambda rev, _: scripts._upgrade_revs("head", rev)  # noqa: E731
            with EnvironmentContext(Config(), scripts, fn=steps) as environment:
                environment.configure(connection=connection, **options)
                with environment.begin_transaction():
                    environment.run_migrations()
        connection.invalidate()


def add_column(number: int) -> None:
    """Write the next migration."""
    path = folder / "versions" / f"{number:03}_add_column.py"
    path.write_text(COLUMN.format(this=number, after=number - 1))


def most_memory(act: Callable[[], object], database: str) -> float:
    """The largest private memory of one server process meanwhile, in MB."""
    most, over = 0, threading.Event()

    def watch() -> None:
        url = address("postgres").set(drivername="postgresql")
        text = url.render_as_string(hide_password=False)
        with psycopg.connect(text, autocommit=True) as connection:
            while not over.wait(0.2):
                query = "SELECT pid FROM pg_stat_activity WHERE datname = %s"
                for (pid,) in connection.execute(query, (database,)):
                    with suppress(OSError):
                        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                            nonlocal most
                            if line.startswith("RssAnon"):
                                most = max(most, int(line.split()[1]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    act()
    over.set()
    watcher.join()
    return most / 1024


administer("DROP DATABASE IF EXISTS bench_ours WITH (FORCE)")
administer("DROP DATABASE IF EXISTS bench_psql WITH (FORCE)")
administer("CREATE DATABASE bench_ours")
ours = on("bench_ours")
run_all_tenant_migrations(ours, config=config)
register(ours, "warm", WARM)
migrate(ours, 1)
for number in range(ROUNDS):
    names = register(ours, f"psql{number}", PER_ROUND)
    replay = recorded(ours)  # the first two are the canaries, made by Alembic
    say("provision", "psql", PER_ROUND - 2, psql(ours, replay, names[2:]))
    for workers in (1, 2):
        register(ours, f"ours{number}_{workers}", PER_ROUND)
        say(
            "provision",
            f"ours, {workers} worker{'s' * (workers > 1)}",
            PER_ROUND,
            timed(partial(migrate, ours, workers)),
        )
    few = [f"alembic{number}_{n}" for n in range(PER_ROUND // 4)]
    say("provision", "Alembic in a loop", len(few), timed(partial(alembic, ours, few)))
    for name in few:
        with ours.begin() as connection:
            connection.exec_driver_sql(f'DROP SCHEMA "tenant_{name}" CASCADE')
register(ours, "more", COLUMNS - made)
migrate(ours, 2)
with ours.connect() as connection:
    everyone = list(connection.scalars(sa.text("SELECT id FROM public.tenants ORDER BY id")))
ours.dispose()
administer("CREATE DATABASE bench_psql TEMPLATE bench_ours")
other = on("bench_psql")
for number in (4, 5, 6):
    add_column(number)
    if number % 2 == 0:
        replay = recorded(other)
        say("column", "psql", COLUMNS - 2, psql(other, replay, everyone[2:]))
    workers, began = 1 + number % 2, time.perf_counter()
    most = most_memory(partial(migrate, ours, workers), "bench_ours")
    seconds = time.perf_counter() - began
    say("column", f"ours, {workers} worker{'s' * (workers > 1)}", COLUMNS, seconds, megabytes=most)
    if number % 2:
        replay = recorded(other)
        say("column", "psql", COLUMNS - 2, psql(other, replay, everyone[2:]))
fill = "INSERT INTO public.tenants (id, name, schema_name, status, revision)"
fill += " SELECT 'i' || n, 'i', 'tenant_i' || n, 'ready', '006'"
fill += f" FROM generate_series(1, {IDLE - COLUMNS}) n"
with ours.begin() as connection:
    connection.exec_driver_sql(fill)
with ours.begin() as connection:
    connection.exec_driver_sql("ANALYZE public.tenants")
for _ in range(9):
    say("idle", "ours", IDLE, timed(lambda: migrate(ours, 2)))
ours.dispose()
other.dispose()
administer("DROP DATABASE bench_ours WITH (FORCE)")
administer("DROP DATABASE bench_psql WITH (FORCE)")
