"""The limit of parallel work: places, waiting requests, and refusals."""

import asyncio

import pytest

from {{ cookiecutter.package_name }}.errors import HttpError
from {{ cookiecutter.package_name }}.settings import Settings
from {{ cookiecutter.package_name }}.web.lanes import Lane, Lanes


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
        assert await asyncio.wait_for(lane.run(str, 2), 60) == "2"
        lane.close()

    asyncio.run(come())


def test_failing_work_raises_its_error_and_frees_its_slot() -> None:
    async def come() -> None:
        lane = Lane("test", at_once=1, waiting=1)
        for _ in range(2):
            with pytest.raises(ValueError, match="invalid literal"):
                await asyncio.wait_for(lane.run(int, "one"), 60)
        lane.close()

    asyncio.run(come())


def test_closed_lanes_accept_no_work() -> None:
    async def come() -> None:
        lanes = Lanes.open(Settings(_env_file=None))
        lanes.close()
        for lane in (lanes.database, lanes.hashing, lanes.mail, lanes.counting):
            with pytest.raises(RuntimeError):
                await asyncio.wait_for(lane.run(str, 1), 60)

    asyncio.run(come())
