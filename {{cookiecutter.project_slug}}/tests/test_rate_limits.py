"""Guessing passwords becomes slow, and does not lock the owner out."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import Mock

import pytest
from fastapi.testclient import TestClient
from limits.errors import StorageError
from limits.storage import Storage
from pydantic import SecretStr

from {{ cookiecutter.package_name }}.app import create_app
from {{ cookiecutter.package_name }}.errors import HttpError
from {{ cookiecutter.package_name }}.settings import Settings
from {{ cookiecutter.package_name }}.web import rate_limits
from {{ cookiecutter.package_name }}.web.client import network_of
from {{ cookiecutter.package_name }}.web.rate_limits import Counters, RateLimiter

from .accounts import ADA, PASSWORD, Outbox, authorize, register, sign_in, token_in
from .client import Client

ACCOUNT = ("ada@example.com",)


@pytest.fixture
def limited(settings: Settings) -> Iterator[TestClient]:
    """The service with its default limits, behind a proxy that names the client."""
    names = ("rate_limit_per_account", "rate_limit_mails", "wrong_passwords_before_delay")
    standard = {name: Settings.model_fields[name].default for name in names}
    app = create_app(settings.model_copy(update={**standard, "trusted_proxies": ("testclient",)}))
    with Client(app) as client:
        yield client


def come_from(client: TestClient, address: str) -> None:
    client.headers["X-Forwarded-For"] = address


def test_wrong_passwords_from_other_addresses_do_not_lock_the_owner_out(
    limited: TestClient,
) -> None:
    limited.app.state.mailer = outbox = Outbox()  # type: ignore[attr-defined]
    come_from(limited, "192.0.2.1")
    assert register(limited, outbox).status_code == 200
    refused = []
    for number in range(60):
        come_from(limited, f"198.51.100.{number}")
        refused.append(sign_in(limited, password="wrong horse").status_code)
    assert refused == [401] * 10 + [429] * 50
    come_from(limited, "192.0.2.1")
    assert sign_in(limited).status_code == 200


def test_during_an_attack_an_owner_gets_in_from_anywhere_by_resetting_the_password(
    limited: TestClient,
) -> None:
    limited.app.state.mailer = outbox = Outbox()  # type: ignore[attr-defined]
    register(limited, outbox)
    for number in range(10):
        come_from(limited, f"198.51.100.{number}")
        sign_in(limited, password="wrong horse")
    come_from(limited, "203.0.113.1")
    assert sign_in(limited).status_code == 429
    limited.post("/auth/request-password-reset", json={"email": ADA["email"]})
    reset = {"token": token_in(outbox.mails[-1]), "password": "staple battery horse"}
    assert limited.post("/auth/reset-password", json=reset).status_code == 200
    assert sign_in(limited, password=reset["password"]).status_code == 200


def test_after_some_wrong_passwords_each_delay_is_twice_the_last_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter = RateLimiter(settings.model_copy(update={"wrong_passwords_before_delay": 2}))
    storage = limiter.counters._here
    incr, delays = storage.incr, []

    def note(key: str, expiry: float, amount: int = 1) -> int:
        if "delayed" in key:
            delays.append(expiry)
            storage.clear(key)  # as if the time had passed
        return incr(key, expiry, amount)

    monkeypatch.setattr(storage, "incr", note)
    for _ in range(20):
        limiter.count_password("192.0.2.1", ACCOUNT)
    assert delays[:4] == [1, 2, 4, 8]
    assert delays[-1] == max(delays) == 15 * 60
    limiter.count_password("192.0.2.2", ACCOUNT)
    assert len(delays) == 18


def test_parallel_attempts_are_limited_like_sequential_ones(settings: Settings) -> None:
    limiter = RateLimiter(settings.model_copy(update={"wrong_passwords_before_delay": 2}))
    with ThreadPoolExecutor(8) as pool:
        passed = sum(pool.map(lambda _: passes(limiter), range(50)))
    assert passed == 3


def passes(limiter: RateLimiter) -> bool:
    try:
        limiter.count_password("192.0.2.1", ACCOUNT)
    except HttpError:
        return False
    return True


def test_a_correct_password_resets_the_count_of_wrong_ones(limited: TestClient) -> None:
    limited.app.state.mailer = outbox = Outbox()  # type: ignore[attr-defined]
    register(limited, outbox)
    for _ in range(3):
        answers = [sign_in(limited, password="wrong horse").status_code for _ in range(4)]
        assert answers == [401] * 4
        assert sign_in(limited).status_code == 200


def test_a_correct_password_ends_the_delay(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", Mock(return_value=time.time()))  # the delay never passes
    limiter = RateLimiter(settings.model_copy(update={"wrong_passwords_before_delay": 2}))
    for _ in range(2):
        assert [passes(limiter) for _ in range(4)] == [True, True, True, False]
        limiter.password_was_right("192.0.2.1", ACCOUNT)


def test_mails_to_one_account_are_limited_and_its_owner_still_gets_one(limited: TestClient) -> None:
    limited.app.state.mailer = outbox = Outbox()  # type: ignore[attr-defined]
    come_from(limited, "192.0.2.1")
    register(limited, outbox)
    outbox.mails.clear()
    forgotten = {"email": ADA["email"]}
    for number in range(30):
        come_from(limited, f"198.51.100.{number}")
        answer = limited.post("/auth/request-password-reset", json=forgotten)
        assert answer.status_code == 202
    assert len(outbox.mails) == 3
    come_from(limited, "192.0.2.1")
    limited.post("/auth/request-password-reset", json=forgotten)
    assert len(outbox.mails) == 4


def test_mails_of_each_kind_to_one_address_are_limited_per_day(
    limited: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited.app.state.mailer = outbox = Outbox()  # type: ignore[attr-defined]
    began, numbers = time.time(), itertools.count()
    for hour in range(24):
        monkeypatch.setattr(time, "time", Mock(return_value=began + hour * 3600))
        for _ in range(4):
            for path in ("register", "request-verification", "request-password-reset"):
                come_from(limited, f"198.51.100.{next(numbers) % 250}")
                limited.post(f"/auth/{path}", json=ADA)
    assert {mail.to for mail in outbox.mails} == {ADA["email"]}
    kinds = Counter(mail.subject for mail in outbox.mails)
    assert sorted(kinds.values()) == [10, 10, 10]


def test_mails_to_one_address_are_limited_per_day_over_all_tenants(settings: Settings) -> None:
    limiter = RateLimiter(settings.model_copy(update={"rate_limit_mails": "2/day"}))
    sent = [
        limiter.may_mail("forgotten", "192.0.2.1", (f"tenant{tenant}", *ACCOUNT))
        for tenant in range(20)
        for _ in range(3)
    ]
    assert sent == [True, True, False] * 5 + [False] * 45


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("register", ADA),
        ("verify-email", {"token": "x" * 43, "password": "x"}),
        ("request-verification", {"email": ADA["email"]}),
        ("login", {"email": ADA["email"], "password": "x"}),
        ("request-password-reset", {"email": ADA["email"]}),
        ("reset-password", {"token": "x" * 43, "password": "x"}),
    ],
)
def test_every_public_account_route_is_rate_limited(
    settings: Settings, path: str, sent: dict[str, Any]
) -> None:
    app = create_app(settings.model_copy(update={"rate_limit_per_address": "2/hour"}))
    with Client(app) as client:
        app.state.mailer = Outbox()
        statuses = [client.post(f"/auth/{path}", json=sent).status_code for _ in range(3)]
    assert 429 not in statuses[:2] and statuses[2] == 429


def test_changing_a_password_is_rate_limited(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"rate_limit_per_address": "2/hour"}))
    with Client(app) as client:
        app.state.mailer = outbox = Outbox()
        headers = authorize(register(client, outbox))
        wrong = {"current_password": "wrong horse", "password": "staple battery horse"}
        statuses = [
            client.post("/auth/change-password", json=wrong, headers=headers).status_code
            for _ in range(3)
        ]
    assert statuses == [403, 403, 429]


def test_the_current_password_ends_the_count_of_wrong_ones(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"rate_limit_per_account": "2/hour"}))
    with Client(app) as client:
        app.state.mailer = outbox = Outbox()
        headers = authorize(register(client, outbox))
        statuses = []
        for current in ("wrong horse", PASSWORD, "wrong horse", "wrong horse"):
            sent = {"current_password": current, "password": "staple battery horse"}
            answer = client.post("/auth/change-password", json=sent, headers=headers)
            statuses.append(answer.status_code)
            headers = authorize(answer) if answer.status_code == 200 else headers
    assert statuses == [403, 200, 403, 403]


def test_every_route_that_checks_a_password_counts_attempts(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"rate_limit_per_account": "2/hour"}))
    with Client(app) as client:
        app.state.mailer = outbox = Outbox()
        headers = authorize(register(client, outbox))
        for path, sent, refused in (
            ("login", {"email": "eve@example.com", "password": "x"}, 401),
            ("verify-email", {"token": "x" * 43, "password": "x"}, 400),
            ("change-password", {"current_password": "x", "password": "y"}, 403),
        ):
            answers = [client.post(f"/auth/{path}", json=sent, headers=headers) for _ in range(3)]
            assert [answer.status_code for answer in answers] == [refused, refused, 429]


def test_guessing_the_admin_key_is_rate_limited(settings: Settings) -> None:
    few = {"rate_limit_per_address": "2/hour", "admin_key": SecretStr("a key of their own" * 2)}
    with Client(create_app(settings.model_copy(update=few))) as client:
        wrong = {"X-Admin-Key": "a wrong key"}
        statuses = [client.get("/users", headers=wrong).status_code for _ in range(3)]
    assert statuses == [403, 403, 429]


def test_if_the_storage_of_limits_is_unreachable_the_process_counts_itself(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    away = settings.model_copy(
        update={
            "rate_limit_storage_url": Settings(
                _env_file=None, rate_limit_storage_url="redis://127.0.0.1:1"
            ).rate_limit_storage_url,
            "rate_limit_per_address": "2/hour",
        }
    )
    with Client(create_app(away)) as client:
        assert [sign_in(client).status_code for _ in range(3)] == [401, 401, 429]
    assert "RATE_LIMIT_STORAGE_URL does not answer" in capsys.readouterr().err


def test_counting_in_a_storage_does_not_block_other_requests(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []

    def note(self: Counters, work: Any) -> None:
        threads.append(threading.current_thread().name)

    monkeypatch.setattr(Counters, "use", note)
    for address in (None, SecretStr("memory://")):
        app = create_app(settings.model_copy(update={"rate_limit_storage_url": address}))
        with Client(app) as client:
            sign_in(client)
    here, shared = threads[:2], threads[2:]
    assert all(name.startswith("counting") for name in shared)
    assert here and len(here) == len(shared)
    assert not any(name.startswith("counting") for name in here)


def test_redis_has_one_second_to_answer_and_no_retries() -> None:
    redis: Any = Counters("redis://127.0.0.1:1")._shared
    how = redis.storage.connection_pool.connection_kwargs
    assert (how["socket_timeout"], how["socket_connect_timeout"]) == (1.0, 1.0)
    assert how["retry"].get_retries() == 0


def test_a_storage_of_limits_is_used_again_when_it_is_reachable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rate_limits, "STORAGE_AGAIN_SECONDS", 60.0)
    counters = Counters("memory://")
    assert not counters.are_here and Counters(None).are_here
    shared, asked = counters._shared, []

    def ask(storage: Storage) -> bool:
        asked.append(storage)
        if storage is shared and len(asked) == 1:
            raise StorageError(ConnectionRefusedError("nobody listens"))
        return storage is shared

    assert [counters.use(ask), counters.use(ask)] == [False, False]
    assert asked == [shared, counters._here, counters._here]  # not asked again for a while
    counters._again = 0.0
    assert counters.use(ask) is True


def test_ipv4_mapped_ipv6_addresses_are_limited_as_ipv4_addresses(
    settings: Settings,
) -> None:
    changed = {"rate_limit_per_address": "1/hour", "trusted_proxies": ("testclient",)}
    with Client(create_app(settings.model_copy(update=changed))) as client:
        statuses = []
        for address in ("::ffff:192.0.2.1", "::ffff:192.0.2.2", "192.0.2.1"):
            come_from(client, address)
            statuses.append(sign_in(client).status_code)
    assert statuses == [401, 401, 429]
    assert network_of({"client": None}) == ""  # over a Unix socket
