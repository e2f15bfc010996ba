"""A folder to write migrations in, a database to query, and processes to race and kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from shutil import copy
from threading import Event
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa
from my_service import migrations
from my_service.database.backend import connect
from my_service.migrate import MigrationConfig, Observer, alembic_bridge
from my_service.settings import Settings
from processes import Process

from engine import command_line

KIND = os.environ["INSIDE_DATABASE"]
Command = Callable[[str], tuple[int, str, str]]

HEAD = '''"""{name}."""

import sqlalchemy as sa
from alembic import op

revision = {revision!r}
down_revision = {after!r}
{extra}

def upgrade() -> None:
    {up}


def downgrade() -> None:
    {down}
'''


class Gate:
    """A point at which a migration in this process reports its start and waits."""

    def __init__(self) -> None:
        self.began, self.open = Event(), Event()


gate = Gate()


class EachStep(Observer):
    """Calls a function with each step of a backup or of a restore."""

    def __init__(self, call: Callable[[str], object]) -> None:
        self.call = call

    def step_started(self, step: str) -> None:
        """See ``Observer``."""
        self.call(step)


@dataclass
class Folder:
    """Migration files, each following the last one by default."""

    path: Path
    metadata: sa.MetaData = field(default_factory=sa.MetaData)
    last: str | None = None
    written: int = 0

    def __post_init__(self) -> None:
        self.versions = self.path / "versions"
        self.versions.mkdir(parents=True)
        copy(migrations.config.directory / "script.py.mako", self.path)

    def config(self, **limits: Any) -> MigrationConfig:
        """The engine's configuration."""
        return MigrationConfig(self.path, lambda: self.metadata, **limits)

    def add(
        self,
        name: str,
        up: str | Iterable[str] = "pass",
        down: str | Iterable[str] = "pass",
        *,
        after: Any = "the last one",
        extra: str = "",
    ) -> str:
        """Write a migration ``001_<name>``; return its name."""
        self.written += 1
        number = f"{self.written:03}"
        text = HEAD.format(
            name=name,
            revision=number,
            after=self.last if after == "the last one" else after,
            up="\n    ".join([up] if isinstance(up, str) else up),
            down="\n    ".join([down] if isinstance(down, str) else down),
            extra=extra,
        )
        self.file(f"{number}_{name}").write_text(text)
        self.last = number
        return f"{number}_{name}"

    def tables(self, *names: str) -> list[str]:
        """Write a migration for each table."""
        return [self.add(name, create(name), f'op.drop_table("{name}")') for name in names]

    def file(self, name: str) -> Path:
        """The file of a migration."""
        return self.versions / f"{name}.py"


def count_imports(patch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each migration file is imported from now on, by its name."""
    found: Counter[str] = Counter()
    import_file = alembic_bridge.import_file

    def counted(path: Path) -> ModuleType:
        found[path.stem] += 1
        return import_file(path)

    patch.setattr(alembic_bridge, "import_file", counted)
    return found


def create(table: str) -> str:
    """The line that creates a table."""
    return f'op.create_table("{table}", sa.Column("id", sa.Integer, primary_key=True))'


@dataclass(frozen=True)
class Database:
    """A database, queried without the engine."""

    address: str
    _made: list[sa.Engine] = field(default_factory=list, compare=False, repr=False)

    def engine(self) -> sa.Engine:
        """An engine made like the service's. The fixture of the database disposes of it."""
        self._made.append(connect(Settings(environment="development", database_url=self.address)))
        return self._made[-1]

    def dispose(self) -> None:
        """Close the connections of every engine that was made here."""
        for engine in self._made:
            engine.dispose()

    @cached_property
    def _asking(self) -> sa.Engine:
        """An engine that keeps no connection. A new one would first ask the server about itself."""
        return sa.create_engine(self.address, poolclass=sa.NullPool)

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement and commit it; return its rows."""
        with self._asking.begin() as connection:
            result = connection.exec_driver_sql(statement)
            return [tuple(row) for row in result] if result.returns_rows else []

    def tables(self) -> set[str]:
        """Names of the tables, without the two of the engine."""
        names = set(sa.inspect(self._asking).get_table_names())
        return names - {"alembic_version", "migration_history"}

    def heads(self) -> set[str]:
        """The content of ``alembic_version``."""
        return {revision for (revision,) in self.ask("SELECT version_num FROM alembic_version")}

    def history(self) -> list[tuple[int, int, str, bool]]:
        """Run id, batch, name, and whether it still applies, of every row."""
        columns = "run_id, batch, name, rolled_back_at IS NULL"
        rows = self.ask(f"SELECT {columns} FROM migration_history ORDER BY id")
        return [(run, batch, name, bool(applied)) for run, batch, name, applied in rows]

    def schema(self) -> list[tuple[Any, ...]]:
        """The complete schema, to compare it with another."""
        if KIND == "sqlite":
            return self.ask("SELECT type, name, sql FROM sqlite_schema ORDER BY 1, 2")
        return self.ask(
            "SELECT table_name, column_name, data_type, is_nullable, column_default"
            " FROM information_schema.columns WHERE table_schema = 'public'"
            " UNION ALL SELECT tablename, indexname, indexdef, '', '' FROM pg_indexes"
            " WHERE schemaname = 'public'"
            " UNION ALL SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', ''"
            " FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2, 3"
        )

    def all(self) -> tuple[Any, ...]:
        """Schema, heads and history, to see that nothing changed."""
        tables = {name for (name, *_) in self.schema()} | {row[1] for row in self.schema()}
        heads = self.heads() if "alembic_version" in tables else set()
        history = self.history() if "migration_history" in tables else []
        return self.schema(), heads, history


def start(database: Database, folder: Folder, *words: str, **variables: str) -> Process:
    """Start ``migrate <words>`` in a separate process, on this folder."""
    return _started(command_line.migrate, database, folder, words, variables)


def start_backup(database: Database, folder: Folder, *words: str) -> Process:
    """Start ``backup <words>`` in a separate process, for this folder."""
    return _started(command_line.backup, database, folder, words, {})


def _started(
    program: Callable[..., None],
    database: Database,
    folder: Folder,
    words: tuple[str, ...],
    variables: dict[str, str],
) -> Process:
    address = {"ENVIRONMENT": "development", "DATABASE_URL": database.address}
    every = os.environ | address | variables
    return Process(program, folder.path, *words, folder=folder.path, variables=every)


def finish(process: Process) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    return process.finish()


def migrate(database: Database, folder: Folder, *words: str, **variables: str) -> str:
    """Run ``migrate <words>`` in a separate process; it must succeed. Return its output."""
    code, out, err = finish(start(database, folder, *words, **variables))
    assert code == 0, err
    return out


def wait_until(true: Callable[[], object], seconds: float = 20) -> None:
    """Wait for something to happen."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.002)


def printed_json(text: str) -> Any:
    """The JSON that a command printed."""
    return json.loads(text)


def check_with_ruff(path: Path) -> None:
    """A file passes the service's own ruff check and format."""
    service = Path(migrations.__file__).parents[3]
    settings = ["--no-cache", "--config", str(service / "pyproject.toml")]
    # A service's migrations may have unused imports.
    for command in (["check", "--ignore", "F401"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, *settings, str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + path.read_text()
