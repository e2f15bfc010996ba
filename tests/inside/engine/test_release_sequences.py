"""Any sequence of releases and replicas: no live replica ever lacks an applied contract."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from my_service.errors import ActionableError
from my_service.migrate import (
    MigrationConfig,
    Registration,
    get_migration_status,
    rollback_migrations,
    run_migrations,
)

from engine.support import KIND, Database, Folder

EXAMPLES = int(os.environ.get("ENGINE_RELEASES", "15" if KIND == "sqlite" else "5"))
LONG_AGO = "'2020-01-01 00:00:00'"


@dataclass
class Replica:
    """A process of the release with this number of files."""

    files: int
    row: Registration
    is_counted: bool = True


def machine(new_database: Callable[[], Database]) -> type[RuleBasedStateMachine]:
    """The state machine, on separate databases."""

    class Deploying(RuleBasedStateMachine):
        """Deploys to a database and, in parallel, to a few lists."""

        def __init__(self) -> None:
            super().__init__()
            self.home = tempfile.TemporaryDirectory()
            self.folder = Folder(Path(self.home.name) / "migrations")
            sqlite = f"sqlite:///{self.home.name}/test.db"
            self.database = Database(sqlite) if KIND == "sqlite" else new_database()
            self.engine = self.database.engine()
            self.phases: list[str] = []
            self.applied: list[int] = []  # the batch of each
            self.replicas: list[Replica] = []
            self.write("expand")

        def teardown(self) -> None:
            """Close what is open."""
            self.engine.dispose()
            self.home.cleanup()

        def write(self, phase: str) -> None:
            """One more file."""
            table = f"t{len(self.phases)}"
            self.folder.add(
                table,
                f"op.execute('CREATE TABLE {table} (id INTEGER)')",
                f"op.execute('DROP TABLE {table}')",
                extra=f"phase = {phase!r}\n",
            )
            self.phases.append(phase)

        def release(self, files: int) -> MigrationConfig:
            """The release with this number of files."""
            home = Path(self.home.name) / f"release_{files}"
            (home / "versions").mkdir(parents=True, exist_ok=True)
            for file in sorted(self.folder.versions.glob("*.py"))[:files]:
                copy = home / "versions" / file.name
                if not copy.exists():
                    copy.write_bytes(file.read_bytes())
            return replace(self.folder.config(), directory=home)

        def contracts_beyond(self, files: int) -> bool:
            """Whether a contract is applied that a release lacks."""
            return "contract" in self.phases[files : len(self.applied)]

        def migrated(self, files: int) -> None:
            """Run a release's ``latest``, here and in the model."""
            result = run_migrations(self.engine, config=self.release(files))
            if self.contracts_beyond(files):
                assert result.error is not None and result.error.code == "contract-unknown"
                return
            assert result.success, result.error
            assert bool(result.ahead) == (len(self.applied) > files)
            live = [one.files for one in self.replicas if one.is_counted]
            batch = max(self.applied, default=0) + 1
            run = 0
            for place in range(len(self.applied), files):
                if self.phases[place] == "contract" and any(has <= place for has in live):
                    assert result.held_back[0].startswith(f"{place + 1:03}")
                    break
                self.applied.append(batch)
                run += 1
            assert len(result.migrations) == run

        @rule(phase=st.sampled_from(["expand", "contract"]))
        def make(self, phase: str) -> None:
            """A new migration, for releases to come."""
            self.write(phase)

        @rule(data=st.data())
        def latest(self, data: st.DataObject) -> None:
            """A release migrates in a separate step."""
            self.migrated(data.draw(st.integers(1, len(self.phases))))

        @rule(data=st.data())
        def start(self, data: st.DataObject) -> None:
            """A replica of any release starts: it migrates and registers."""
            files = data.draw(st.integers(1, len(self.phases)))
            self.migrated(files)
            self.register(Replica(files, Registration(self.engine, self.release(files))))

        def register(self, one: Replica) -> None:
            """It is registered, or refused."""
            try:
                one.row.register()
            except ActionableError as error:
                assert error.code == "contract-unknown"
                assert self.contracts_beyond(one.files)
            else:
                assert not self.contracts_beyond(one.files)
                self.replicas.append(one)

        @precondition(lambda self: self.replicas)
        @rule(data=st.data())
        def end(self, data: st.DataObject) -> None:
            """A replica ends."""
            one = data.draw(st.sampled_from(self.replicas))
            self.replicas.remove(one)
            one.row.remove()

        @precondition(lambda self: self.replicas)
        @rule(data=st.data())
        def freeze(self, data: st.DataObject) -> None:
            """A replica is silent for a minute; it serves nobody then."""
            one = data.draw(st.sampled_from(self.replicas))
            one.is_counted = False
            where = f"WHERE id = '{one.row.id}'"
            self.database.ask(f"UPDATE service_instances SET beat_at = {LONG_AGO} {where}")

        @precondition(lambda self: any(not one.is_counted for one in self.replicas))
        @rule(data=st.data())
        def wake(self, data: st.DataObject) -> None:
            """It wakes up, and serves only when it is registered."""
            frozen = [one for one in self.replicas if not one.is_counted]
            one = data.draw(st.sampled_from(frozen))
            if one.row.beat():
                one.is_counted = True
                return
            self.replicas.remove(one)
            one.is_counted = True
            self.register(one)

        @rule()
        def rollback(self) -> None:
            """The newest batch is undone with the newest release's files."""
            config = self.release(len(self.phases))
            rollback_migrations(self.engine, config=config).raise_for_error()
            newest = max(self.applied, default=0)
            self.applied = [batch for batch in self.applied if batch != newest]

        @invariant()
        def nobody_who_serves_lacks_a_contract(self) -> None:
            """And the database matches the model."""
            for one in self.replicas:
                assert not (one.is_counted and self.contracts_beyond(one.files))
            config = self.release(len(self.phases))
            done = get_migration_status(self.engine, config=config).completed
            assert [m.batch for m in done] == self.applied

    return Deploying


def test_no_live_replica_lacks_an_applied_contract(
    new_database: Callable[[], Database],
) -> None:
    run_state_machine_as_test(
        machine(new_database),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=15,
            deadline=None,
            database=None,
            derandomize="ENGINE_RELEASES" not in os.environ,
            suppress_health_check=[*HealthCheck],
        ),
    )
