"""A release that is older than the schema starts, serves and applies nothing."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa
from my_service.migrate import (
    MigrationConfig,
    get_migration_status,
    migrate_up,
    migration_sql,
    rollback_migrations,
    run_migrations,
)
from my_service.migrate.events import Observer
from my_service.migrations.target import can_serve

from engine.support import Command, Database, Folder, create, finish, start

CONTRACT = 'phase = "contract"\n'


class AheadRecorder(Observer):
    """Remembers that the schema is ahead."""

    def __init__(self) -> None:
        self.ahead: list[list[str]] = []

    def schema_ahead(self, migrations: object) -> None:
        """Note it."""
        self.ahead.append(list(migrations))  # type: ignore[call-overload]


def config_of(folder: Folder, release: str, observer: Observer | None = None) -> MigrationConfig:
    """The configuration of a release."""
    return folder.config(load_release=lambda: release, observer=observer or Observer())


def released(engine: sa.Engine, folder: Folder, *, contract: bool = False) -> None:
    """Migrate with release 2.0, then be release 1.0, which has the first two of four files."""
    folder.tables("a", "b", "c")
    folder.add("d", create("d"), extra=CONTRACT if contract else "")
    newest = AheadRecorder()
    run_migrations(engine, config=config_of(folder, "2.0", newest)).raise_for_error()
    assert newest.ahead == []  # nothing is ahead of the newest release
    folder.file("003_c").unlink()
    folder.file("004_d").unlink()
    folder.last = "002"


def test_an_older_release_applies_nothing_and_reports_once_what_is_ahead(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    released(engine, folder)
    before = database.all()
    for act in (run_migrations, migrate_up):
        observer = AheadRecorder()
        result = act(engine, config=config_of(folder, "1.0", observer)).raise_for_error()
        assert (result.migrations, result.ahead) == ((), ("003_c", "004_d"))
        assert observer.ahead == [["003_c (release 2.0)", "004_d (release 2.0)"]]
    assert migration_sql(engine, config=folder.config()) == ""
    assert database.all() == before


def test_its_status_lists_migrations_ahead_without_a_problem(
    engine: sa.Engine, folder: Folder, database: Database, command: Command
) -> None:
    released(engine, folder)
    status = get_migration_status(engine, config=folder.config())
    assert [(m.name, m.ahead, m.missing) for m in status.completed] == [
        ("001_a", False, False),
        ("002_b", False, False),
        ("003_c", True, False),
        ("004_d", True, False),
    ]
    assert {m.release for m in status.completed} == {"2.0"}
    assert (status.pending, status.problem, status.current) == ((), None, "004")
    code, out, _ = command("migrate status")
    assert code == 0
    assert "The schema is ahead of this release by 2 migrations: 003_c, 004_d" in out
    code, out, err = finish(start(database, folder, "latest", "--json"))
    assert (code, json.loads(out)["ahead"]) == (0, ["003_c", "004_d"])
    assert err.count("ahead") == 1


def test_its_status_still_marks_a_changed_file(engine: sa.Engine, folder: Folder) -> None:
    released(engine, folder)
    file = folder.file("001_a")
    file.write_text(file.read_text().replace('"a"', '"another"'))
    status = get_migration_status(engine, config=folder.config())
    assert [m.name for m in status.completed if m.changed] == ["001_a"]


def test_an_older_release_is_ready(engine: sa.Engine, folder: Folder) -> None:
    released(engine, folder)
    assert can_serve(engine, folder.config()) == (True, None)


def test_an_older_release_refuses_an_unknown_applied_contract(
    engine: sa.Engine, folder: Folder, database: Database, command: Command
) -> None:
    released(engine, folder, contract=True)
    before = database.all()
    error = run_migrations(engine, config=folder.config()).error
    assert error.code == "contract-unknown"
    assert error.problem == "This release does not have 1 applied contract: 004_d (release 2.0)"
    status = get_migration_status(engine, config=folder.config())
    assert status.unknown_contracts == ("004_d",)
    assert can_serve(engine, folder.config()) == (False, error.problem)
    for word in ("status", "latest"):
        code, out, err = command(f"migrate {word}")
        assert (code, error.problem in out + err) == (1, True), word
    assert database.all() == before


def test_an_older_release_refuses_to_roll_back(
    engine: sa.Engine, folder: Folder, database: Database
) -> None:
    released(engine, folder)
    error = rollback_migrations(engine, config=folder.config()).error
    assert error.problem == "Files of 2 applied migrations are missing: 003_c, 004_d"
    assert database.tables() == {"a", "b", "c", "d"}


def test_a_branch_does_not_count_as_an_older_release(engine: sa.Engine, folder: Folder) -> None:
    released(engine, folder)
    folder.tables("hotfix")
    error = run_migrations(engine, config=folder.config()).error
    assert error.problem == "Files of 2 applied migrations are missing: 003_c, 004_d"


@pytest.mark.parametrize(
    ("head", "missing"),
    [("002", "2 applied migrations are missing: 003_c, 004_d"),
     ("005", "3 applied migrations are missing: 003_c, 004_d, revision 005")],
    ids=["stamped backwards", "applied by plain Alembic"],
)  # fmt: skip
def test_a_head_that_history_does_not_end_with_does_not_count_as_an_older_release(
    engine: sa.Engine, folder: Folder, database: Database, head: str, missing: str
) -> None:
    released(engine, folder)
    database.ask(f"UPDATE alembic_version SET version_num = '{head}'")
    error = run_migrations(engine, config=folder.config()).error
    assert error.problem == f"Files of {missing}"


def test_a_chain_with_a_missing_file_does_not_count_as_an_older_release(
    engine: sa.Engine, folder: Folder
) -> None:
    released(engine, folder)
    folder.file("001_a").unlink()
    error = run_migrations(engine, config=folder.config()).error
    assert error.problem == "Files of 3 applied migrations are missing: 001_a, 003_c, 004_d"


def test_an_empty_folder_does_not_count_as_an_older_release(
    engine: sa.Engine, folder: Folder
) -> None:
    folder.tables("a")
    run_migrations(engine, config=folder.config())
    folder.file("001_a").unlink()
    assert run_migrations(engine, config=folder.config()).error.code == "files-missing"
