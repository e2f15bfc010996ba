"""Answers that are alike take alike: the clock tells nobody who has an account."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from statistics import median
from typing import Any

import pytest
from serving import PASSWORD, Serve, Service

# Hashing takes long enough to stand out, were it left out: 10 to 40 ms.
COST = {"BCRYPT_COST": "8"}
SAMPLES = 15
GENEROUS = 1.4

each_database = pytest.mark.parametrize("database", ["sqlite", "postgresql"])


@each_database
def test_time_tells_nobody_who_has_an_account(
    serve: Serve, empty_database: Any, database: str
) -> None:
    address = empty_database(database)
    with serve(database, address) as service:  # at a lower cost, as years ago
        service.sign_in("old@example.com")
    with serve(database, address, **COST) as service:
        service.sign_in("ada@example.com")
        service.register("unconfirmed@example.com")
        numbers = count()
        alike(
            taken=lambda: service.register("ada@example.com").status_code == 201,
            free=lambda: service.register(f"new{next(numbers)}@example.com").status_code == 201,
        )
        alike(
            wrong=lambda: refused(service, "ada@example.com", "wrong horse"),
            unknown=lambda: refused(service, "nobody@example.com", PASSWORD),
            unconfirmed=lambda: refused(service, "unconfirmed@example.com", PASSWORD),
            old=lambda: refused(service, "old@example.com", "wrong horse"),
        )


def refused(service: Service, email: str, password: str) -> bool:
    return service.post("/auth/login", email=email, password=password).status_code == 401


def alike(**ways: Callable[[], bool]) -> None:
    """Take samples in turn, so that a busy machine slows all of them, and compare the medians."""
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(SAMPLES):
        for way, ask in ways.items():
            began = time.perf_counter()
            assert ask(), way
            seconds[way].append(time.perf_counter() - began)
    medians = {way: median(taken) for way, taken in seconds.items()}
    assert max(medians.values()) < GENEROUS * min(medians.values()), medians
