"""No text costs more than its length: not in any field of any route."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import psutil
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import Serve, Service, process_of

pytestmark = pytest.mark.thorough

LARGE = 900_000  # bytes: just below MAX_BODY_BYTES
# The machine's noise, in seconds of the service's processor time, in addition to linear work.
NOISE = 1.0

FIELDS = {
    "/auth/register": ("email", "password", "name"),
    "/auth/verify-email": ("token", "password"),
    "/auth/login": ("email", "password"),
    "/auth/request-password-reset": ("email",),
    "/auth/reset-password": ("token", "password"),
}
# Difficult texts for algorithms: combining characters, dots, at signs, case folding, spaces.
AWKWARD = [
    "\u0301\u0316",
    "a.",
    "@",
    "a@",
    "ß",
    "\ufdfa",
    "xn--",
    " ",
    "\t",
    "-",
    "İ",
    '"',
    "\\",
    "%",
]
# As long as the head of a request may be.
HEADERS = {
    **dict.fromkeys(("Authorization", "X-Request-ID", "X-Admin-Key"), "a." * 15_000),
    "X-Forwarded-For": "a," * 15_000,
    "Cookie": 'a="' + "\\" * 30_000 + '"',
    "Content-Type": "multipart/form-data" + ";" * 30_000,
}


def test_a_long_text_costs_no_more_than_its_length_in_any_field(
    serve: Serve, empty_database: Any
) -> None:
    with serve("sqlite", empty_database("sqlite")) as service:
        process = process_of(service)
        plain = cost(
            process, service, "/auth/login", as_json({"email": text("a"), "password": "x"})
        )

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
        @given(
            path=st.sampled_from(sorted(FIELDS)),
            unit=st.one_of(st.sampled_from(AWKWARD), st.text(min_size=1, max_size=6)),
            data=st.data(),
        )
        def each(path: str, unit: str, data: st.DataObject) -> None:
            large = data.draw(st.sampled_from(FIELDS[path]))
            values = {field: text(unit) if field == large else "a@b.org" for field in FIELDS[path]}
            assert cost(process, service, path, as_json(values)) < 20 * plain + NOISE

        each()
        for unit in AWKWARD:
            for values in ({"username": text(unit, 6), "password": "x"}, {"username": "a@b.org"}):
                form = urlencode({"password": text(unit, 6), **values}, errors="ignore").encode()
                kind = "application/x-www-form-urlencoded"
                assert (
                    cost(process, service, "/auth/token", (form[:LARGE], kind)) < 20 * plain + NOISE
                )
        for header, sent in HEADERS.items():
            began = used(process)
            requests.get(f"{service.address}/users", headers={header: sent}, timeout=60)
            assert used(process) - began < 20 * plain + NOISE


def text(unit: str, width: int = 2) -> str:
    """A long text that repeats one unit, and fits if each byte takes ``width``."""
    size = max(1, len(json.dumps(unit, ensure_ascii=False).encode()) - 2)
    return unit * (LARGE // (width * size))


def as_json(values: dict[str, str]) -> tuple[bytes, str]:
    sent = json.dumps(values, ensure_ascii=False).encode(errors="ignore")
    return sent, "application/json"


def cost(process: psutil.Process, service: Service, path: str, sent: tuple[bytes, str]) -> float:
    """Seconds of processor time that the service takes for a request; it must not fail."""
    body, kind = sent
    began = used(process)
    headers = {"Content-Type": kind}
    answer = requests.post(f"{service.address}{path}", data=body, headers=headers, timeout=60)
    assert answer.status_code < 500
    return used(process) - began


def used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
