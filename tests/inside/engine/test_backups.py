"""Backups: making, listing, the number to keep, and errors."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from engine.support import KIND, Command, Database, Folder, start_backup, wait_until

only_sqlite = pytest.mark.skipif(KIND != "sqlite", reason="this is SQLite's")
only_postgresql = pytest.mark.skipif(KIND != "postgresql", reason="this is PostgreSQL's")


@pytest.fixture
def backups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for backups."""
    path = tmp_path / "backups"
    monkeypatch.setenv("BACKUP_DIRECTORY", str(path))
    return path


# Text of 400 kB that cannot be compressed to much less than half of that.
NOISE = {
    "sqlite": "hex(randomblob(200000))",
    "postgresql": "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 12500))",
}


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """Let writes of this process fail after this number of bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def client(folder: Path, script: str) -> Path:
    """A program instead of pg_dump, which claims the newest version."""
    path = folder / "pg_dump"
    path.write_text(
        f'#!/bin/sh\nif [ "$1" = --version ]; then echo "{NEWEST}"; exit; fi\n{script}\n'
    )
    path.chmod(0o755)
    return path


NEWEST = "pg_dump (PostgreSQL) 99.1"


@contextmanager
def role_with_password(database: Database, password: str) -> Iterator[str]:
    """A role that needs a password, unlike the others here."""
    role = f"asked_{uuid4().hex}"
    ((path,),) = database.ask("SHOW hba_file")
    hba = Path(path)
    former = hba.read_text()
    database.ask(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
    hba.write_text(f"local all {role} scram-sha-256\n{former}")
    database.ask("SELECT pg_reload_conf()")
    try:
        yield role
    finally:
        hba.write_text(former)
        database.ask("SELECT pg_reload_conf()")
        database.ask(f"DROP ROLE {role}")


def made(command: Command, line: str = "backup create") -> str:
    """Make a backup; return its name."""
    code, out, err = command(f"{line} --json")
    assert code == 0, err
    return str(json.loads(out)["name"])


def listed(command: Command) -> list[str]:
    """The names that ``backup list`` prints."""
    code, out, err = command("backup list --json")
    assert code == 0, err
    return [manifest["name"] for manifest in json.loads(out)]


def test_a_backup_is_listed_with_its_content(
    command: Command, folder: Folder, backups: Path
) -> None:
    folder.tables("a", "b")
    command("migrate latest")
    name = made(command)
    (manifest,) = json.loads(command("backup list --json")[1])
    assert manifest["name"] == name
    assert manifest["revision"] == "002"
    assert manifest["whole"] is True
    assert len(manifest["fingerprint"]) == 64
    assert manifest["size"] == sum(file["size"] for file in manifest["files"]) > 0
    assert manifest["duration"] > 0
    assert name in command("backup list")[1]


def test_backup_files_are_readable_only_by_their_owner(command: Command, backups: Path) -> None:
    made(command)
    assert {stat.S_IMODE(path.stat().st_mode) for path in backups.iterdir()} == {0o600}
    assert stat.S_IMODE(backups.stat().st_mode) == 0o700
    assert len(list(backups.iterdir())) == 2


def test_the_newest_backups_are_kept_and_other_files_are_not_deleted(
    command: Command, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKUP_KEEP", "2")
    backups.mkdir()
    services = ("other", "backup-eu", "my-backup")  # this one is "backup": it has no name here
    others = [backups / f"{service}-20260101-000000-000000.json" for service in services]
    others.append(backups / "notes.txt")
    for path in others:
        path.write_text("{}")
    names = [made(command) for _ in range(4)]
    assert listed(command) == [names[3], names[2]]
    assert all(path.exists() for path in others)
    assert len(list(backups.iterdir())) == 2 * 2 + len(others)


def test_only_a_run_with_pending_migrations_makes_a_backup(
    command: Command, folder: Folder, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGRATION_BACKUP", "auto")
    folder.tables("a")
    assert command("migrate latest --sql")[0] == 0
    assert listed(command) == []
    code, out, _ = command("migrate latest --json")
    assert (code, json.loads(out)["migrations"]) == (0, ["001_a"])
    assert len(listed(command)) == 1
    assert command("migrate latest")[0] == 0
    assert len(listed(command)) == 1
    assert command("migrate rollback")[0] == 0
    newest, oldest = json.loads(command("backup list --json")[1])
    assert (newest["revision"], oldest["revision"]) == ("001", None)


def test_no_backup_is_made_by_default(command: Command, folder: Folder, backups: Path) -> None:
    folder.tables("a")
    assert command("migrate latest")[0] == 0
    assert not backups.exists()


def test_production_backs_up_sqlite_by_default_and_logs_if_it_does_not(
    command: Command,
    database: Database,
    folder: Folder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder.tables("a", "b", "c")
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("DB_SSL_MODE", "disable")
    monkeypatch.delenv("BACKUP_DIRECTORY", raising=False)
    assert command("migrate up")[0] == 0
    if KIND == "sqlite":
        beside = Path(str(sa.make_url(database.address).database)).parent / "backups"
        assert len(listed(command)) == len(list(beside.glob("*.db"))) == 1
    is_logged = KIND == "postgresql"
    assert caplog.text.count("No backup is made before these migrations") == is_logged
    monkeypatch.setenv("MIGRATION_BACKUP", "off")
    assert command("migrate up")[0] == 0
    assert caplog.text.count("No backup is made before these migrations") == is_logged
    if KIND == "sqlite":
        assert len(listed(command)) == 1


def test_a_failed_migration_prints_the_backup_and_the_restore_command(
    command: Command, folder: Folder, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGRATION_BACKUP", "auto")
    folder.add("fails", 'op.execute("SELECT nothing_of_this_name")')
    code, _, err = command("migrate latest")
    (name,) = listed(command)
    assert code == 1
    assert f"backup restore {name}" in err
    assert len(err.splitlines()) == 3


def test_the_backup_before_the_first_failed_run_is_kept_until_a_run_succeeds(
    command: Command,
    database: Database,
    folder: Folder,
    backups: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder.tables("first")
    assert command("migrate latest")[0] == 0
    database.ask("INSERT INTO first VALUES (7)")
    monkeypatch.setenv("MIGRATION_BACKUP", "auto")
    monkeypatch.setenv("BACKUP_KEEP", "2")
    folder.tables("done")
    half = folder.add(
        "half", ['op.execute("DELETE FROM first")', 'op.execute("SELECT nothing_of_this_name")'],
        extra="transaction = False\n",
    )  # fmt: skip
    for _ in range(4):
        assert command("migrate latest")[0] == 1
    *newest, first = listed(command)
    assert len(newest) == 2
    assert database.ask("SELECT * FROM first") == []
    assert command(f"backup restore {first} --yes")[0] == 0
    assert database.ask("SELECT * FROM first") == [(7,)]
    assert database.tables() == {"first"}
    command(f"backup forget {command('backup forget')[1].strip()} --yes")

    path = folder.file(half)
    path.write_text(path.read_text().replace("SELECT nothing_of_this_name", "SELECT 1"))
    assert command("migrate latest")[0] == 0
    assert first in listed(command)  # until the next backup
    assert command("migrate rollback")[0] == 0
    assert len(listed(command)) == 2
    assert first not in listed(command)


def test_an_unreadable_manifest_does_not_stop_a_run_or_the_list(
    command: Command, folder: Folder, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = made(command)
    (backups / f"{name}.json").write_text("{")
    monkeypatch.setenv("MIGRATION_BACKUP", "auto")
    monkeypatch.setenv("BACKUP_KEEP", "1")
    folder.tables("a")
    assert command("migrate latest")[0] == 0
    code, out, err = command("backup list --json")
    assert (code, len(json.loads(out))) == (0, 1)
    assert err.startswith(f"The manifest of {name} cannot be read")
    assert (backups / f"{name}.json").exists()


def test_a_failed_backup_stops_the_run(
    command: Command,
    database: Database,
    folder: Folder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MIGRATION_BACKUP", "auto")
    monkeypatch.setenv("BACKUP_DIRECTORY", str(tmp_path / "file" / "backups"))
    folder.tables("a")
    code, _, err = command("migrate latest")
    assert (code, database.tables()) == (1, set())
    assert "nothing was migrated" in err
    assert "BACKUP_DIRECTORY" in err


def test_a_folder_that_cannot_be_written_is_an_error(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKUP_DIRECTORY", "/proc/backups")
    code, _, err = command("backup create")
    assert code == 1
    assert "/proc/backups cannot be written" in err
    assert len(err.splitlines()) > 3  # the steps, then the three lines of the error


@only_sqlite
def test_a_disk_that_is_too_small_is_an_error_before_anything_is_written(
    command: Command, database: Database, folder: Folder, backups: Path
) -> None:
    folder.tables("a")
    command("migrate latest")
    with Path(str(sa.make_url(database.address).database)).open("r+b") as file:
        file.truncate(8 << 40)  # a sparse file, larger than any disk of these tests
    code, _, err = command("backup create")
    assert (code, list(backups.iterdir())) == (1, [])
    assert "A backup may need 8796093.0 MB" in err


@only_sqlite
def test_the_needed_disk_space_includes_the_write_ahead_log(
    command: Command, database: Database, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.engine().connect() as connection:  # closing the last one would empty the log
        connection.exec_driver_sql("CREATE TABLE filler (content TEXT)")
        connection.exec_driver_sql(f"INSERT INTO filler SELECT {NOISE[KIND]}")
        connection.commit()
        disk = shutil.disk_usage(backups.parent)._replace(free=300_000)
        monkeypatch.setattr("shutil.disk_usage", lambda _: disk)
        code, _, err = command("backup create")
    assert (code, list(backups.iterdir())) == (1, [])
    assert re.search(r"may need 0\.\d MB, and the disk of .* has 0\.3 MB", err)


@only_postgresql
def test_tables_larger_than_the_free_disk_space_are_an_error_before_writing(
    command: Command, database: Database, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.ask("CREATE TABLE filler (content TEXT)")
    database.ask(f"INSERT INTO filler SELECT {NOISE[KIND]} FROM generate_series(1, 3)")
    disk = shutil.disk_usage(backups.parent)._replace(free=400_000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: disk)
    code, _, err = command("backup create")
    assert (code, list(backups.iterdir())) == (1, [])
    assert re.search(r"may need \d\.\d MB, and the disk of .* has 0\.4 MB", err)


@only_sqlite
def test_a_copy_that_fails_the_integrity_check_is_refused(
    command: Command, database: Database, backups: Path
) -> None:
    path = str(sa.make_url(database.address).database)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE odd (x TEXT)")
        connection.execute("INSERT INTO odd VALUES (NULL)")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = 'CREATE TABLE odd (x TEXT NOT NULL)'")
    code, _, err = command("backup create")
    assert (code, list(backups.iterdir())) == (1, [])
    assert "NULL value in odd.x" in err


def test_a_full_disk_leaves_no_partial_file_and_stops_the_run(
    command: Command,
    database: Database,
    folder: Folder,
    backups: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database.ask("CREATE TABLE filler (id INTEGER, content TEXT)")
    database.ask(f"INSERT INTO filler SELECT 1, {NOISE[KIND]}")
    monkeypatch.setenv("MIGRATION_BACKUP", "auto")
    folder.tables("a")
    with no_file_longer_than(50_000):
        code, _, err = command("migrate latest")
    assert (code, list(backups.iterdir())) == (1, [])
    assert "nothing was migrated" in err
    assert "a" not in database.tables()
    assert command("migrate latest")[0] == 0
    assert len(listed(command)) == 1


def test_a_killed_backup_process_leaves_no_listed_backup(
    command: Command, database: Database, folder: Folder, backups: Path
) -> None:
    database.ask("CREATE TABLE filler (id INTEGER, content TEXT)")
    for number in range(8):
        database.ask(f"INSERT INTO filler SELECT {number}, {NOISE[KIND]}")
    process = start_backup(database, folder, "create")
    wait_until(lambda: backups.exists() and list(backups.iterdir()))
    process.kill()
    process.finish()
    left = list(backups.iterdir())
    assert all(".partial" in path.name for path in left)
    assert listed(command) == []
    made(command)
    assert all(path.exists() for path in left)  # another process could be writing them
    for path in left:
        os.utime(path, (0, 0))
    made(command)
    assert not any(path.exists() for path in left)


# -- PostgreSQL's client ---------------------------------------------------------------------------


@only_postgresql
def test_a_pg_dump_that_is_too_old_stops_the_run(
    command: Command,
    database: Database,
    folder: Folder,
    tmp_path: Path,
    backups: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = client(tmp_path, "")
    old.write_text(old.read_text().replace(NEWEST, "pg_dump (PostgreSQL) 12.3"))
    monkeypatch.setenv("BACKUP_PG_DUMP", str(old))
    monkeypatch.setenv("MIGRATION_BACKUP", "auto")
    folder.tables("a")
    code, _, err = command("migrate latest")
    assert (code, database.tables()) == (1, set())
    assert f"{old} is of PostgreSQL 12, and the server is" in err


@only_postgresql
def test_without_pg_dump_the_run_stops(
    command: Command, database: Database, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from my_service.migrate.backends.postgresql import client

    monkeypatch.setattr(client, "WHEEL", "no_such_wheel")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("MIGRATION_BACKUP", "auto")
    folder.tables("a")
    code, _, err = command("migrate latest")
    assert (code, database.tables()) == (1, set())
    assert "There is no pg_dump" in err


@only_postgresql
def test_a_missing_pg_dump_in_the_settings_is_an_error(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKUP_PG_DUMP", "/nowhere/pg_dump")
    code, _, err = command("backup create")
    assert code == 1
    assert "/nowhere/pg_dump cannot be used: No such file or directory" in err


@only_postgresql
def test_the_password_is_not_on_the_command_line(
    command: Command,
    database: Database,
    tmp_path: Path,
    backups: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pg_dump = client(
        tmp_path, f'echo "$@" > {tmp_path}/told; echo "$PGPASSWORD" > {tmp_path}/password'
    )
    url = sa.make_url(database.address).set(password="kept out of sight")
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
    monkeypatch.setenv("BACKUP_PG_DUMP", str(pg_dump))
    command("backup create")
    assert "--format=custom" in (tmp_path / "told").read_text()
    assert "out of sight" not in (tmp_path / "told").read_text()
    assert (tmp_path / "password").read_text() == "kept out of sight\n"


@only_postgresql
def test_a_wrong_password_is_an_error_and_nothing_is_written(
    command: Command, database: Database, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with role_with_password(database, "right") as role:
        url = sa.make_url(database.address).set(username=role, password="wrong")
        monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
        code, _, err = command("backup create")
    assert (code, backups.exists()) == (1, False)
    assert "Correct the user or the password" in err
