"""The limit of parallel work: places, waiting requests, and refusals."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from threading import Event
from types import FrameType
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from {{ cookiecutter.package_name }}.errors import HttpError
from {{ cookiecutter.package_name }}.settings import Settings
from {{ cookiecutter.package_name }}.web.lanes import Lane, Lanes
from {{ cookiecutter.package_name }}.web.turns import Turns


def test_a_request_waits_for_its_turn_and_is_refused_if_the_queue_is_full() -> None:
    async def come() -> None:
        lane = Lane("test", at_once=1, waiting=1)
        async with lane:
            waiting = asyncio.create_task(lane.run(str, 1))
            await asyncio.sleep(0)
            with pytest.raises(HttpError) as refused:
                await asyncio.wait_for(lane.run(str, 2), 60)
            assert not waiting.done()
        assert (refused.value.status, refused.value.code) == (503, "service-busy")
        assert await asyncio.wait_for(waiting, 60) == "1"
        lane.close()

    asyncio.run(come())


def test_a_request_that_waited_leaves_the_queue() -> None:
    async def come() -> None:
        lane = Lane("test", at_once=1, waiting=1)
        for _ in range(3):
            async with lane:
                waiting = asyncio.create_task(lane.run(str, 1))
                await asyncio.sleep(0)
            assert await asyncio.wait_for(waiting, 60) == "1"
        async with lane:  # and the queue is as long as before
            waiting = asyncio.create_task(lane.run(str, 1))
            await asyncio.sleep(0)
            with pytest.raises(HttpError):
                await asyncio.wait_for(lane.run(str, 2), 60)
        assert await asyncio.wait_for(waiting, 60) == "1"
        lane.close()

    asyncio.run(come())


def test_a_request_that_waited_too_long_is_refused_and_frees_its_slot() -> None:
    async def come() -> None:
        lane = Lane("test", at_once=1, waiting=1, patience=0.01)
        async with lane:
            with pytest.raises(HttpError):
                await asyncio.wait_for(lane.run(str, 1), 60)
        assert await asyncio.wait_for(lane.run(int, "11", base=2), 60) == 3
        lane.close()

    asyncio.run(come())


def test_failing_work_raises_its_error_and_frees_its_slot() -> None:
    async def come() -> None:
        lane = Lane("test", at_once=1, waiting=0)
        for _ in range(2):
            with pytest.raises(ValueError, match="invalid literal"):
                await asyncio.wait_for(lane.run(int, "one"), 60)
        lane.close()

    asyncio.run(come())


class Work:
    """Work that runs in a lane until the test ends it."""

    def __init__(self, lane: Lane) -> None:
        self.begun, self.may_end = Event(), Event()
        self.caller = asyncio.create_task(lane.run(self._run))

    def _run(self) -> bool:
        self.begun.set()
        return self.may_end.wait(5)

    async def begin(self) -> None:
        """Wait until it runs."""
        await asyncio.to_thread(self.begun.wait, 60)


def test_a_caller_that_gave_up_gets_no_result() -> None:
    reported: list[object] = []

    async def come() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: reported.append(what))
        lane = Lane("test", at_once=1, waiting=1)
        work = Work(lane)
        await work.begin()
        work.caller.cancel()
        await asyncio.wait([work.caller])
        work.may_end.set()
        assert await asyncio.wait_for(lane.run(str, 1), 60) == "1"  # in the same thread: later
        lane.close()

    asyncio.run(come())
    assert reported == []


def test_closing_does_not_wait_for_running_work_and_does_not_stop_it() -> None:
    async def come() -> None:
        lane = Lane("test", at_once=1, waiting=1)
        work = Work(lane)
        await work.begin()
        lane.close()
        work.may_end.set()
        assert await asyncio.wait_for(work.caller, 60)

    asyncio.run(come())


def test_work_has_the_context_of_its_caller() -> None:
    request_id = ContextVar[str]("request_id")

    async def come() -> None:
        lane = Lane("test", at_once=1, waiting=1)
        request_id.set("abc-123")
        assert await asyncio.wait_for(lane.run(request_id.get), 60) == "abc-123"
        lane.close()

    asyncio.run(come())


@pytest.mark.parametrize(("processors", "hashing"), [(None, 1), (1, 1), (2, 1), (8, 7)])
def test_the_lanes_have_the_places_and_the_queues_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, processors: int | None, hashing: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: processors)

    async def come() -> None:
        settings = Settings(_env_file=None, max_waiting_requests=7, max_waiting_sign_ins=5)
        lanes = Lanes.open(settings)
        places = {lane: lane._places._value for lane in (lanes.database, lanes.hashing)}
        assert places == {lanes.database: settings.db_pool_max, lanes.hashing: hashing}
        assert [lane._threads._max_workers for lane in places] == list(places.values())
        queues = [lanes.database, lanes.hashing, lanes.counting]
        assert [lane._most_waiting for lane in queues] == [7, 5, 7]
        assert lanes.mail._patience is None  # nobody waits for a mail's answer
        lanes.close()

    asyncio.run(come())


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has no priority of its own")
def test_hashing_gives_way_to_everything_else() -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    async def come() -> None:
        lanes = Lanes.open(Settings(_env_file=None))
        usual = niceness()
        for lane in (lanes.database, lanes.mail, lanes.counting):
            assert await asyncio.wait_for(lane.run(niceness), 60) == usual
        assert await asyncio.wait_for(lanes.hashing.run(niceness), 60) == min(usual + 10, 19)
        lanes.close()

    asyncio.run(come())


def test_closed_lanes_accept_no_work() -> None:
    async def come() -> None:
        lanes = Lanes.open(Settings(_env_file=None))
        lanes.close()
        for lane in (lanes.database, lanes.hashing, lanes.mail, lanes.counting):
            with pytest.raises(RuntimeError):
                await asyncio.wait_for(lane.run(str, 1), 60)

    asyncio.run(come())


async def come_to_a_lane(clients: int) -> None:
    lane = Lane("test", at_once=1, waiting=clients)

    async def come() -> None:
        async with lane:
            await asyncio.sleep(0)

    await asyncio.gather(*(come() for _ in range(clients)))
    lane.close()


async def come_in_one_turn(clients: int) -> None:
    async def app(_: Scope, receive: Receive, send: Send) -> None: ...

    turns = Turns(app)
    rest: Any = None
    scopes = [{"type": "http", "method": "GET", "path": "/"} for _ in range(clients)]
    await asyncio.gather(*(turns(scope, rest, rest) for scope in scopes))


def lines(work: Coroutine[Any, Any, None]) -> int:
    """How many lines of Python run: the event loop's too."""
    count = 0

    def count_line(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return count_line

    before = sys.gettrace()
    sys.settrace(count_line)
    try:
        asyncio.run(work)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("come", [come_to_a_lane, come_in_one_turn])
def test_a_request_costs_no_more_work_while_more_requests_wait(
    come: Callable[[int], Coroutine[Any, Any, None]],
) -> None:
    assert lines(come(400)) < 2.5 * lines(come(200))
