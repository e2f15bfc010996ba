"""Requests that arrive at the same moment begin one after the other."""

import asyncio
import time
from collections import deque

from starlette.types import ASGIApp, Receive, Scope, Send

from .health import asks_for_liveness

ARRIVED = "arrived"  # key in a request's scope: seconds by time.perf_counter


class Turns:
    """ASGI middleware: in each turn of the event loop one request begins.

    A request computes for about a millisecond before it waits for the first time. If 500 clients
    connect at once, and all begin in the same turn, the next client waits for half a second.
    The other middleware computes too, so it comes after this one; only tracing comes before it. A
    check of liveness does not wait for those that came before.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_taken = False  # the present turn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope[ARRIVED] = time.perf_counter()
            if not asks_for_liveness(scope):
                await self._turn()
        await self.app(scope, receive, send)

    async def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        if self._is_taken:
            turn: asyncio.Future[None] = loop.create_future()
            self._waiting.append(turn)
            await turn
        else:
            self._is_taken = True
            loop.call_soon(self._next_turn, loop)

    def _next_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # otherwise its request was cancelled
                turn.set_result(None)
                loop.call_soon(self._next_turn, loop)
                return
        self._is_taken = False
