"""No text costs more than its length: not in any field of any route."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from serving import CountedService, ServeCounted

pytestmark = pytest.mark.thorough

LARGE = 900_000  # bytes: just below MAX_BODY_BYTES
FORM = 65_000  # bytes: just below the limit of a form
# Steps (see counted.py) of any request, however short, and of each byte that is sent.
STEPS_OF_A_REQUEST = 200_000
STEPS_OF_A_BYTE = 20

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
    serve_counted: ServeCounted, empty_database: Any
) -> None:
    with serve_counted("sqlite", empty_database("sqlite")) as service:
        # Not shrunk: a text that costs too much takes many seconds.
        @settings(
            max_examples=40,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(
            path=st.sampled_from(sorted(FIELDS)),
            unit=st.one_of(st.sampled_from(AWKWARD), st.text(min_size=1, max_size=6)),
            data=st.data(),
        )
        def each(path: str, unit: str, data: st.DataObject) -> None:
            large = data.draw(st.sampled_from(FIELDS[path]))
            values = {field: text(unit) if field == large else "a@b.org" for field in FIELDS[path]}
            body = json.dumps(values, ensure_ascii=False).encode(errors="ignore")
            post(service, path, body, "application/json")

        each()
        for unit in AWKWARD:
            for values in ({"username": text(unit, 6), "password": "x"}, {"username": "a@b.org"}):
                form = urlencode({"password": text(unit, 6), **values}, errors="ignore").encode()
                for size in (LARGE, FORM):
                    kind = "application/x-www-form-urlencoded"
                    post(service, "/auth/token", form[:size], kind)
        for header, sent in HEADERS.items():
            with costs_little(service, len(sent)):
                requests.get(f"{service.address}/users", headers={header: sent}, timeout=60)


@contextmanager
def costs_little(service: CountedService, size: int) -> Iterator[None]:
    """A request with this many bytes takes no more steps than that allows."""
    began = service.steps()
    yield
    assert service.steps() - began < STEPS_OF_A_REQUEST + STEPS_OF_A_BYTE * size


def text(unit: str, width: int = 2) -> str:
    """A long text that repeats one unit, and fits if each byte takes ``width``."""
    size = max(1, len(json.dumps(unit, ensure_ascii=False).encode()) - 2)
    return unit * (LARGE // (width * size))


def post(service: CountedService, path: str, body: bytes, kind: str) -> None:
    """Send it; it must not fail, and not cost much."""
    headers = {"Content-Type": kind}
    with costs_little(service, len(body)):
        answer = requests.post(f"{service.address}{path}", data=body, headers=headers, timeout=60)
    assert answer.status_code < 500
