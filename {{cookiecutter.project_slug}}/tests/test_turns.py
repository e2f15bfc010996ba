"""Requests that arrive together begin one after the other."""

import asyncio
import json
import time
from itertools import pairwise
from typing import Any
from unittest.mock import AsyncMock

import pytest
from starlette.types import Scope, Send

from {{ cookiecutter.package_name }}.observability.logging import configure_logging
from {{ cookiecutter.package_name }}.settings import Settings
from {{ cookiecutter.package_name }}.web.middleware import middleware
from {{ cookiecutter.package_name }}.web.request_log import RequestLog
from {{ cookiecutter.package_name }}.web.turns import ARRIVED, Turns


async def arrive(turns: Turns, *paths: str) -> list[asyncio.Task[None]]:
    """Requests that the event loop receives in one turn."""
    scopes = ({"type": "http", "method": "GET", "path": path} for path in paths)
    rest: Any = AsyncMock()
    tasks = [asyncio.create_task(turns(scope, rest, rest)) for scope in scopes]
    await asyncio.sleep(0)
    return tasks


def test_one_request_begins_in_each_turn_of_the_event_loop() -> None:
    begun: list[str] = []

    async def app(scope: Scope, *_: Any) -> None:
        begun.append(scope["path"])

    async def come() -> list[int]:
        tasks = await arrive(Turns(app), "1", "2", "3", "4")
        counts = [len(begun)]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0)
            counts.append(len(begun))
        return counts

    counts = asyncio.run(come())
    assert counts[0] == 1 and all(later - earlier <= 1 for earlier, later in pairwise(counts))
    assert begun == ["1", "2", "3", "4"]


def test_a_cancelled_request_does_not_stop_those_behind_it() -> None:
    begun: list[str] = []

    async def app(scope: Scope, *_: Any) -> None:
        begun.append(scope["path"])

    async def come() -> None:
        turns = Turns(app)
        _, second, third = await arrive(turns, "1", "2", "3")
        second.cancel()
        await asyncio.wait_for(third, 60)
        await asyncio.wait_for((await arrive(turns, "4"))[0], 60)

    asyncio.run(come())
    assert begun == ["1", "3", "4"]


def test_a_check_of_liveness_does_not_wait_for_the_requests_before_it() -> None:
    begun: list[str] = []

    async def app(scope: Scope, *_: Any) -> None:
        begun.append(scope["path"])

    async def come() -> None:
        await asyncio.gather(*await arrive(Turns(app), "1", "2", "3", "/health/live"))

    asyncio.run(come())
    assert begun == ["1", "/health/live", "2", "3"]


def test_no_other_middleware_computes_before_a_request_waits(settings: Settings) -> None:
    outermost: Any = middleware(settings)[0].cls
    assert outermost is Turns


def test_the_time_of_a_request_in_the_log_includes_its_wait(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("INFO", as_json=True)

    async def app(_scope: Scope, _receive: Any, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "client": None}
    scope[ARRIVED] = time.perf_counter() - 3600
    asyncio.run(RequestLog(app, {})(scope, AsyncMock(), AsyncMock()))
    assert json.loads(capsys.readouterr().err)["milliseconds"] >= 3_600_000
