"""One attempt to run a unit: the bodies and their records, in one transaction."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, event

from . import errors
from .backends import backend
from .backends.common import MigrationLock, in_autocommit
from .config import MigrationConfig
from .folder import name_of, runs_in_transaction
from .history import HistoryWriter
from .plan import Plan
from .snapshots import FingerprintWriter
from .watch.timings import Timings

if TYPE_CHECKING:
    from alembic.script import Script


class Attempt:
    """One attempt to run a unit.

    Attributes:
        left_transaction: how a body left its transaction, if one did: then the earlier statements
            cannot be undone.
        timings: of the statements of the running migration.
    """

    def __init__(
        self, config: MigrationConfig, unit: "Sequence[Script]", *, is_upgrade: bool
    ) -> None:
        self.left_transaction: str | None = None
        self.timings = Timings()
        self._config = config
        self._unit = unit
        self._is_upgrade = is_upgrade
        self._current: Script | None = None  # from the start of its body until it is recorded
        self._in_body = False
        self._statement_began = 0.0

    def execute(
        self, engine: Engine, plan: Plan, lock: MigrationLock, writer: HistoryWriter
    ) -> None:
        """Run the bodies, and record each, in one transaction."""
        from .alembic_bridge import run_steps
        from .alembic_options import context_options

        fingerprint = FingerprintWriter(self._config, self._unit[-1].revision)
        with (
            backend.migrating(engine, self._config, lock.verify) as connection,
            backend.row_checks(connection) as check_rows,
        ):
            self._watch(connection)
            run_steps(
                connection,
                plan.folder.directory,
                [(script, self._body(script, connection, writer)) for script in self._unit],
                is_upgrade=self._is_upgrade,
                options=context_options(
                    self._config, check_rows, writer, fingerprint, self._recorded
                ),
            )
            # If a body committed by itself, Alembic's transaction has already ended. The statements
            # after it, the record included, are in a transaction that only this line commits.
            if connection.in_transaction():
                connection.commit()

    def failed(self, done: "Sequence[Script]") -> "Sequence[Script]":
        """The failed migration, or all of the transaction if its commit failed."""
        if self._current is not None:
            return [self._current]
        return [script for script in self._unit if script not in done] or self._unit[-1:]

    def _body(
        self, script: "Script", connection: Connection, writer: HistoryWriter
    ) -> Callable[..., None]:
        module = script.module
        body = self._config.scope.wrap(module.upgrade if self._is_upgrade else module.downgrade)
        observer, name = self._config.observer, name_of(script)

        def run(**arguments: object) -> None:
            began = time.perf_counter()
            self._current = script
            if not runs_in_transaction(module):
                self.left_transaction = "It runs outside a transaction"
            observer.migration_started(name, is_upgrade=self._is_upgrade)
            writer.start_watch()
            self._in_body = True
            try:
                body(**arguments)
                self._look_at_transaction(connection)
            except SystemExit as error:
                raise errors.called_exit(name, error.code) from error
            finally:
                self._in_body = False
            if not in_autocommit(connection):
                self._config.scope.restore(connection)
            seconds = time.perf_counter() - began
            observer.migration_finished(name, seconds, is_upgrade=self._is_upgrade)

        return run

    def _recorded(self, **_: object) -> None:
        self._current = None

    def _watch(self, connection: Connection) -> None:
        event.listen(connection, "commit", self._ended_transaction)
        event.listen(connection, "rollback", self._ended_transaction)
        # Also before each statement: the driver begins the next transaction with it.
        event.listen(connection, "before_cursor_execute", self._look_at_transaction)
        event.listen(connection, "after_cursor_execute", self._look_at_transaction)
        event.listen(connection, "before_cursor_execute", self._statement_begins)
        event.listen(connection, "after_cursor_execute", self._statement_ended)

    def _statement_begins(self, *_: object) -> None:
        self._statement_began = time.perf_counter()

    def _statement_ended(self, _: object, cursor: Any, statement: str, *__: object) -> None:
        if self._in_body:
            seconds = time.perf_counter() - self._statement_began
            rows = cursor.rowcount if cursor.rowcount >= 0 else None
            self.timings.add(statement, seconds, rows)
            self._config.observer.statement_finished(statement, seconds, rows)

    def _look_at_transaction(self, connection: Connection, *_: object) -> None:
        if in_autocommit(connection) or backend.ended_transaction(connection):
            self._ended_transaction(connection)

    def _ended_transaction(self, _: object) -> None:
        if self._in_body and self.left_transaction is None:
            self.left_transaction = "It ended its own transaction"
