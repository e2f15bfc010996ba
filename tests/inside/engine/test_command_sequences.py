"""Any sequence of commands leaves the state that a simple model predicts."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from my_service.migrate import (
    get_migration_status,
    migrate_down,
    migrate_up,
    rollback_migrations,
    run_migrations,
)

from engine.support import KIND, Database, Folder

EXAMPLES = int(os.environ.get("ENGINE_SEQUENCES", "12"))


def machine(new_database: Callable[[], Database]) -> type[RuleBasedStateMachine]:
    """The state machine, on separate databases."""

    class Migrating(RuleBasedStateMachine):
        """Runs commands on a database and, in parallel, on a list of batches."""

        def __init__(self) -> None:
            super().__init__()
            self.home = tempfile.TemporaryDirectory()
            self.folder = Folder(Path(self.home.name) / "migrations")
            self.database = self.empty_database()
            self.engine = self.database.engine()
            self.files: list[str] = []
            self.applied: list[tuple[str, int]] = []  # name and batch
            self.runs = 0
            self.made = 0

        def empty_database(self) -> Database:
            """An empty database."""
            if KIND == "sqlite":
                return Database(f"sqlite:///{self.home.name}/test.db")
            return new_database()

        def teardown(self) -> None:
            """Close what is open."""
            self.engine.dispose()
            self.home.cleanup()

        @property
        def pending(self) -> list[str]:
            """The pending migrations of the model."""
            return self.files[len(self.applied) :]

        @property
        def next_batch(self) -> int:
            """Knex's number: one above the highest that is applied."""
            return max((batch for _, batch in self.applied), default=0) + 1

        def went_up(self, result: Any, names: list[str]) -> None:
            """The engine and the model apply the same."""
            batch = self.next_batch
            assert result.success, result.error
            assert (result.migrations, result.batch) == (tuple(names), batch if names else None)
            self.applied += [(name, batch) for name in names]
            self.runs += bool(names)

        def went_down(self, result: Any, count: int) -> None:
            """The engine and the model undo the same."""
            kept = len(self.applied) - count
            undone = self.applied[kept:][::-1]
            assert result.success, result.error
            assert result.migrations == tuple(name for name, _ in undone)
            assert result.batch == (undone[0][1] if undone else None)
            del self.applied[kept:]

        @rule(alone=st.booleans())
        def make(self, alone: bool) -> None:
            """A new migration."""
            self.made += 1
            table = f"t{self.made}"
            self.files += [
                self.folder.add(
                    table,
                    f"op.execute('CREATE TABLE {table} (id INTEGER)')",
                    f"op.execute('DROP TABLE {table}')",
                    extra="transaction = False\n" if alone else "",
                )
            ]

        @rule()
        def latest(self) -> None:
            """Apply everything pending."""
            self.went_up(run_migrations(self.engine, config=self.folder.config()), self.pending)

        @rule()
        def up(self) -> None:
            """Apply the next one."""
            self.went_up(migrate_up(self.engine, config=self.folder.config()), self.pending[:1])

        @rule()
        def down(self) -> None:
            """Undo the newest one."""
            result = migrate_down(self.engine, config=self.folder.config())
            self.went_down(result, min(1, len(self.applied)))

        @rule()
        def rollback(self) -> None:
            """Undo the newest batch."""
            newest = self.next_batch - 1
            count = sum(batch == newest for _, batch in self.applied)
            self.went_down(rollback_migrations(self.engine, config=self.folder.config()), count)

        @rule()
        def rollback_all(self) -> None:
            """Undo every batch."""
            config = self.folder.config()
            result = rollback_migrations(self.engine, everything=True, config=config)
            self.went_down(result, len(self.applied))

        @rule()
        def fail(self) -> None:
            """A failed run changes nothing."""
            if any("transaction = False" in self.text(name) for name in self.pending):
                self.latest()
            name = self.folder.add("bad", "1 / 0")
            assert not run_migrations(self.engine, config=self.folder.config()).success
            self.folder.file(name).unlink()
            self.folder.last = self.files[-1][:3] if self.files else None

        def text(self, name: str) -> str:
            """A file's text."""
            return self.folder.file(name).read_text()

        @invariant()
        def they_agree(self) -> None:
            """Schema, version, history and status match the model."""
            status = get_migration_status(self.engine, config=self.folder.config())
            assert [(m.name, m.batch) for m in status.completed] == self.applied
            assert list(status.pending) == self.pending
            assert self.database.tables() == {name[4:] for name, _ in self.applied}
            if self.runs:
                history = self.database.history()
                assert [(name, batch) for _, batch, name, on in history if on] == self.applied
                assert {run for run, *_ in history} == set(range(1, self.runs + 1))
                newest = {self.applied[-1][0][:3]} if self.applied else set()
                assert self.database.heads() == newest

    return Migrating


def test_any_sequence_of_commands_agrees_with_a_model(
    new_database: Callable[[], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_state_machine_as_test(
        machine(new_database),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=12,
            deadline=None,
            database=None,
            derandomize="ENGINE_SEQUENCES" not in os.environ,
            suppress_health_check=[*HealthCheck],
        ),
    )
