"""Requests that arrive together begin one after the other."""

import asyncio
from itertools import pairwise
from typing import Any
from unittest.mock import AsyncMock

from starlette.types import Scope

from {{ cookiecutter.package_name }}.web.turns import Turns


async def arrive(turns: Turns, *paths: str) -> list[asyncio.Task[None]]:
    """Requests that the event loop receives in one turn."""
    scopes = ({"type": "http", "path": path} for path in paths)
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
