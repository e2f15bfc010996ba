"""The service for these tests: its folder of migrations, its tenants, its command line."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from my_service import cli, migrations
from my_service.database.backend import connect
from my_service.errors import ActionableError
from my_service.migrate import (
    AllTenantsResult,
    MigrationConfig,
    Observer,
    TenantResult,
    drop_tenant,
    run_all_tenant_migrations,
    run_tenant_migrations,
)
from my_service.migrate.tenants import bulk
from my_service.settings import Settings, load_settings
from processes import Process

WORKERS = "TENANTS_CITUS_WORKERS"
OTHER_NODES = "FROM pg_dist_node WHERE groupid > 0 AND noderole = 'primary' ORDER BY nodeid"
OTHERS = "FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid()"

FILE = '''"""{name}."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{after}"
schemas = {schemas!r}
{extra}


def upgrade() -> None:
    {up}


def downgrade() -> None:
    {down}
'''


def server_url(database: str) -> sa.URL:
    """The address of a database on the server."""
    return sa.make_url(os.environ["INSIDE_SERVER"]).set(database=database)


def workers() -> list[sa.URL]:
    """The addresses of a Citus cluster's workers: ``TENANTS_CITUS_WORKERS``, or what it knows."""
    named = [worker.rpartition(":") for worker in os.environ.get(WORKERS, "").split()]
    found = [(host, int(port)) for host, _, port in named] or known_workers()
    return [server_url("postgres").set(host=host, port=port) for host, port in found]


@cache
def known_workers() -> list[tuple[str, int]]:
    """The names of the workers for each other, if the coordinator's own database has Citus."""
    coordinator = server_url(sa.make_url(os.environ["INSIDE_SERVER"]).database or "postgres")
    if not on_cluster() or not on_server(
        "SELECT 1 FROM pg_extension WHERE extname = 'citus'", coordinator
    ):
        return []
    names = on_server(f"SELECT nodename || ':' || nodeport {OTHER_NODES}", coordinator)
    return [(host, int(port)) for host, _, port in (name.rpartition(":") for name in names)]


def on_cluster() -> bool:
    """Whether these tests run on a Citus cluster (``TENANTS_CITUS_SERVER``)."""
    return bool(os.environ.get("INSIDE_CITUS"))


def on_one_machine(why: str) -> pytest.MarkDecorator:
    """A mark for what a Citus cluster cannot do ("More than one machine" in the service's README)."""
    return pytest.mark.skipif(on_cluster(), reason=f"On Citus: {why}")


def machines() -> list[sa.URL]:
    """The addresses of the server, and of a cluster's workers."""
    return [server_url("postgres"), *workers()]


def create_database(name: str, template: str | None = None) -> None:
    """Make a database; on a cluster, one on each of its machines.

    Args:
        name: what it is called.
        template: the database to copy.

    """
    if on_cluster():
        template = template or empty_cluster()
        for server in machines():  # Citus itself stays connected to each database
            on_server(f"SELECT pg_terminate_backend(pid, 10000) {OTHERS.format(template)}", server)
    # Copying the files takes half of the time of the default, which writes all pages to the log.
    copied = f" TEMPLATE {template} STRATEGY file_copy" if template else ""
    for server in machines():
        on_server(f"CREATE DATABASE {name}{copied}", server)


@cache
def empty_cluster() -> str:
    """The name of a database with nothing but Citus and its workers; it is made once."""
    name = f"empty_{uuid4().hex}"
    for server in machines():
        known = on_server("SELECT 1 FROM pg_available_extensions WHERE name = 'citus'", server)
        assert known, f"{server.host}:{server.port} has no Citus; see TENANTS_CITUS_SERVER"
        on_server(f"CREATE DATABASE {name}", server)
        on_server("CREATE EXTENSION citus", server.set(database=name))
    addresses = [(str(worker.host), worker.port) for worker in workers()]
    for host, port in known_workers() or addresses:
        on_server(f"SELECT citus_add_node('{host}', {port})", server_url(name))
    return name


EMPTY = """
DO $$
DECLARE
    name text;
BEGIN
    PERFORM pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
    FOR name IN
        SELECT nspname FROM pg_namespace
        WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
    LOOP
        EXECUTE 'DROP SCHEMA ' || quote_ident(name) || ' CASCADE';
    END LOOP;
    CREATE SCHEMA public AUTHORIZATION pg_database_owner;
    GRANT USAGE ON SCHEMA public TO PUBLIC;
END $$
"""
# Whether EMPTY makes a database like a new one: it has its owner, no ordinary user, no settings, and
# few schemas, since a transaction can lock only so many tables.
CAN_BE_EMPTIED = """
SELECT datdba = (SELECT oid FROM pg_roles WHERE rolname = current_user)
    AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = datname || '_owner')
    AND NOT EXISTS (SELECT FROM pg_db_role_setting WHERE setdatabase = d.oid)
    AND (SELECT count(*) < 30 FROM pg_namespace)
FROM pg_database d WHERE datname = current_database()
"""


def empty_database(name: str) -> bool:
    """Remove everything from a database; False if only a new one is empty."""
    if on_cluster() or on_server(CAN_BE_EMPTIED, server_url(name)) != [True]:
        return False
    on_server(EMPTY, server_url(name))
    return True


def drop_database(name: str) -> None:
    """Remove the databases of ``create_database``, and their owner."""
    for server in machines():
        on_server(f"DROP DATABASE {name} WITH (FORCE)", server)
    for server in machines():
        on_server(f"DROP ROLE IF EXISTS {user_of(name)}", server)


def user_of(database: str) -> str:
    """The name of an ordinary user who owns a database."""
    return f"{database}_owner"


@lru_cache(maxsize=8)
def engine_on(url: sa.URL) -> sa.Engine:
    """An engine that keeps no connection. A new one would first ask the server about itself."""
    return sa.create_engine(url, poolclass=sa.NullPool)


def on_server(statement: str, server: sa.URL | None = None) -> list[Any]:
    """Run a statement outside a transaction; return the first column."""
    engine = engine_on(server or server_url("postgres"))
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        result = connection.exec_driver_sql(statement)
        return list(result.scalars()) if result.returns_rows else []


def tables_of_the_first_two() -> sa.MetaData:
    """The service's models of the tables that its migrations 001 and 002 make."""
    every = migrations.load_metadata()
    chosen = sa.MetaData(naming_convention=every.naming_convention)
    for table in every.tables.values():
        if table.name in {"users", "tenants"}:
            table.to_metadata(chosen)
    return chosen


class TenantCounter(Observer):
    """Calls a function after each tenant, with the number of all."""

    def __init__(self, call: Callable[[int], object]) -> None:
        self.call = call

    def tenant_finished(self, tenant: str, error: ActionableError | None, total: int) -> None:
        """See ``Observer``."""
        self.call(total)


class Service:
    """Migrations 001 and 002 of the service, and a test's additions."""

    def __init__(self, engine: sa.Engine, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.engine = engine
        # What the service itself adds to them changes from time to time.
        copytree(migrations.config.directory, folder, ignore=ignore_patterns("00[3-9]_*"))
        self.versions = folder / "versions"
        self.last = 2
        self.turn: sa.Connection | None = None
        self.config: MigrationConfig = replace(
            migrations.config,
            directory=folder,
            load_metadata=tables_of_the_first_two,
            lock_timeout=20,
            table_lock_timeout=1,
            verify="off",
        )
        patch.setattr(migrations, "config", self.config)
        self.patch = patch

    def add(
        self,
        up: str | Iterable[str],
        down: str | Iterable[str] = "pass",
        *,
        schemas: str = "tenants",
        extra: str = "",
    ) -> Path:
        """Write a migration that follows the last one."""
        after, self.last = self.last, self.last + 1
        path = self.versions / f"{self.last:03}_change.py"
        text = FILE.format(
            name=path.stem,
            revision=f"{self.last:03}",
            after=f"{after:03}",
            up="\n    ".join([up] if isinstance(up, str) else up),
            down="\n    ".join([down] if isinstance(down, str) else down),
            schemas=schemas,
            extra=extra,
        )
        path.write_text(text, encoding="utf-8")
        return path

    def remove(self, path: Path) -> None:
        """Act as an older version of the service, which lacks the newest migration."""
        path.unlink()
        self.last -= 1

    def roles(self) -> None:
        """Turn TENANT_ROLES on. Roles belong to the whole server, so one test at a time has some."""
        if on_cluster():
            pytest.skip("On Citus: tenants have no roles (roles-on-citus)")
        server = sa.create_engine(server_url("postgres"), poolclass=sa.NullPool)
        self.turn = self.turn or server.connect()
        self.turn.exec_driver_sql("SELECT pg_advisory_lock(20261129)")
        self.config = replace(self.config, tenant_roles=True)
        self.patch.setenv("TENANT_ROLES", "true")

    def forget_roles(self) -> None:
        """Remove the tenants' roles, and let other tests have some."""
        if self.config.tenant_roles:
            for (tenant,) in self.ask("SELECT id FROM public.tenants"):
                drop_tenant(self.engine, tenant, config=self.config)
        if self.turn is not None:
            self.turn.close()

    def ordinary_user(self) -> None:
        """Connect as an ordinary user who owns the database and may create roles."""
        user = user_of(str(self.engine.url.database))
        password = f"PASSWORD '{self.engine.url.password}'" if self.engine.url.password else ""
        # A cluster's workers get it as well.
        self.ask(f"CREATE ROLE {user} LOGIN CREATEROLE {password}".replace("%", "%%"))
        for server in machines():
            on_server(f"ALTER DATABASE {self.engine.url.database} OWNER TO {user}", server)
        self.ask(f"ALTER SCHEMA public OWNER TO {user}")
        self.engine.dispose()
        url = self.engine.url.set(username=user)
        address = url.render_as_string(hide_password=False)
        self.patch.setenv("DATABASE_URL", address)
        self.engine = connect(
            Settings(_env_file=None, environment="development", database_url=address)
        )

    def all(self, **how: Any) -> AllTenantsResult:
        """Migrate everything."""
        return run_all_tenant_migrations(self.engine, config=self.config, **how)

    def after_each_tenant(self, call: Callable[[int], object]) -> None:
        """Call it after each tenant of a run, with the number of all."""
        self.config = replace(self.config, observer=TenantCounter(call))

    def one(self, tenant: str) -> TenantResult:
        """Make or migrate one tenant."""
        return run_tenant_migrations(self.engine, tenant, config=self.config)

    def register(self, *tenants: str) -> None:
        """Register tenants, which the next run creates."""
        self.ask(
            "INSERT INTO public.tenants (id, name, schema_name) SELECT t, t, 'tenant_' || t"
            f" FROM unnest(ARRAY{list(tenants)}) t"
        )

    def make(self, *tenants: str) -> None:
        """Make tenants, by canaries and replay."""
        self.all().public.raise_for_error()
        self.register(*tenants)
        run = self.all()
        assert run.success, run.failed[:1]

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement and commit it; return its rows."""
        with engine_on(self.engine.url).begin() as connection:
            result = connection.exec_driver_sql(statement)
            return [tuple(row) for row in result] if result.returns_rows else []

    def statuses(self) -> dict[str, tuple[str, str | None]]:
        """Status and revision of each tenant."""
        rows = self.ask("SELECT id, status, revision FROM public.tenants")
        return {tenant: (status, revision) for tenant, status, revision in rows}

    def start(self, *words: str) -> Process:
        """Start a command line in a separate process."""
        return Process(command_line, *words, folder=self.versions, variables=os.environ)

    def command(self, line: str) -> tuple[int, str, str]:
        """Run a command line: its exit code, output and errors."""
        out, err = io.StringIO(), io.StringIO()
        self.patch.setattr(sys, "argv", ["service", *line.split()])
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as end,
        ):
            cli.main()
        # Citus comments on each CREATE DATABASE, which the log repeats.
        lines = err.getvalue().splitlines(keepends=True)
        errors = (line for line in lines if "NOTICE: Citus partially supports" not in line)
        return int(str(end.value.code or 0)), out.getvalue(), "".join(errors)


def command_line(*words: str) -> None:
    """The service's own command line."""
    sys.argv = ["service", *words]
    cli.main()


def make_tenant(folder: str, tenant: str) -> None:
    """Create a tenant with the migrations in a folder; it runs in a separate process."""
    config = replace(migrations.config, directory=Path(folder), lock_timeout=20)
    engine = connect(load_settings(serving=False), migrating=True)
    result = run_tenant_migrations(engine, tenant, config=config)
    sys.exit(str(result.error) if result.error else 0)


def replays(service: Service) -> list[int]:
    """A list that grows with each transaction that is replayed."""
    taken: list[int] = []
    execute = bulk.execute

    def counted(*arguments: Any) -> None:
        taken.append(1)
        execute(*arguments)

    service.patch.setattr(bulk, "execute", counted)
    return taken


def dies_at(statement: int, act: Callable[[], object]) -> bool:
    """Run it in a process that is killed before its n-th statement; False if it ended before."""
    child = os.fork()
    if child == 0:
        count = 0

        def die(*_: Any) -> None:
            nonlocal count
            count += 1
            if count == statement:
                os.kill(os.getpid(), signal.SIGKILL)

        sa.event.listen(sa.Engine, "before_cursor_execute", die)
        try:
            act()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)
