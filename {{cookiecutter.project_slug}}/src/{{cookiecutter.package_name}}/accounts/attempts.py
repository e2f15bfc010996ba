"""Counts attempts before any expensive work is done for them."""

from typing import Annotated

from fastapi import Depends, Request

from ..web.client import network_of
from ..web.rate_limits import RateLimiter, counting, limit
from ..web.request_database import RequestDatabaseDep


class Attempts:
    """The attempts of one request."""

    def __init__(self, request: Request, tenant: tuple[str, ...]) -> None:
        self._request = request
        self._limiter: RateLimiter = request.app.state.limiter
        self._network = network_of(request.scope)
        self._tenant = tenant

    async def knock(self, action: str) -> None:
        """Count an attempt of the requesting client.

        Raises:
            HttpError: 429, too many.
        """
        await limit(self._request, action)

    async def guess(self, *account: str) -> None:
        """Count a password that is about to be compared. ``account`` need not exist.

        Raises:
            HttpError: 429, too many wrong passwords before.
        """
        who = (*self._tenant, *account)
        await counting(self._request, self._limiter.guess, self._network, who)

    async def guessed(self, *account: str) -> None:
        """The password was right: earlier wrong ones no longer count."""
        who = (*self._tenant, *account)
        await counting(self._request, self._limiter.guessed, self._network, who)


async def get_attempts(request: Request, database: RequestDatabaseDep) -> Attempts:
    """The attempts of this request."""
    return Attempts(request, tuple(database.binding.values()))


AttemptsDep = Annotated[Attempts, Depends(get_attempts)]
