"""The service's connections and transactions, on any database."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import Engine, QueuePool, select, update
from sqlalchemy.exc import OperationalError

from {{ cookiecutter.package_name }}.accounts.models import User
from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.database.backend import connect
from {{ cookiecutter.package_name }}.settings import Settings
from {{ cookiecutter.package_name }}.web import outages

from .accounts import ADA, Outbox, authorize, register, with_connections
from .client import Client
from .schema import open_session, prepare


@pytest.mark.parametrize(("least", "kept"), [(None, 5), (2, 2)])
def test_idle_connections_stay_open_up_to_db_pool_min(
    settings: Settings, tmp_path: Path, least: int | None, kept: int
) -> None:
    several = with_connections(settings, tmp_path).model_copy(update={"db_pool_min": least})
    engine = connect(several)
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(engine.connect())
    pool = engine.pool
    assert isinstance(pool, QueuePool) and pool.checkedin() == kept
    engine.dispose()


def test_parallel_transactions_that_read_and_then_write_all_succeed(
    settings: Settings, tmp_path: Path
) -> None:
    # Two engines, as in two processes: each queues its own writers.
    engines = [connect(with_connections(settings, tmp_path)) for _ in range(2)]
    prepare(engines[0])
    with open_session(engines[0]) as session:
        session.add(User(email="ada@example.com", name="0", password_hash="!"))
        session.commit()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count_up, engines * 20))
    for engine in engines:
        engine.dispose()


def test_reading_a_user_does_not_wait_for_writers(settings: Settings, tmp_path: Path) -> None:
    with Client(create_app(with_connections(settings, tmp_path))) as client:
        client.state.mailer = outbox = Outbox()
        headers = authorize(register(client, outbox))
        with open_session(client.state.engine) as session:
            session.execute(update(User).values(name="Eve"))
            assert client.get("/users/me", headers=headers).json()["name"] == ADA["name"]


def count_up(engine: Engine) -> None:
    with open_session(engine) as session:
        user = session.scalars(select(User)).one()
        time.sleep(0.001)
        user.name = str(int(user.name) + 1)
        session.commit()


def test_only_an_unreachable_database_answers_503_and_the_log_says_why(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app = create_app(settings)
    away, wrong = Exception("nobody listens\nin detail"), Exception("no such table")

    @app.get("/broken/{how}")
    async def broken(how: str) -> None:
        raise OperationalError("SELECT 1", {}, away if how == "away" else wrong)

    monkeypatch.setattr(outages, "is_away", lambda error: error.orig is away)
    with Client(app, raise_server_exceptions=False) as client:
        capsys.readouterr()
        answer = client.get("/broken/away")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        logged = capsys.readouterr().err
        assert "nobody listens" in logged
        assert "in detail" not in logged and "Traceback" not in logged
        assert client.get("/broken/wrong").status_code == 500
