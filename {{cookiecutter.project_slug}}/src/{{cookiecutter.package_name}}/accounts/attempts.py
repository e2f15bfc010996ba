"""Counts attempts before any expensive work is done for them."""

from typing import Annotated

from fastapi import Depends, Request

from ..web.client import network_of
from ..web.rate_limits import RateLimiter, counting, limit
from ..web.request_database import RequestDatabaseDep


class AttemptCounter:
    """Counts the attempts of one request."""

    def __init__(self, request: Request, tenant: tuple[str, ...]) -> None:
        self._request = request
        self._limiter: RateLimiter = request.app.state.limiter
        self._network = network_of(request.scope)
        self._tenant = tenant

    async def count(self, action: str) -> None:
        """Count an attempt of the requesting client.

        Raises:
            HttpError: 429, too many.
        """
        await limit(self._request, action)

    async def count_password(self, *account: str) -> None:
        """Count a password before it is compared. ``account`` need not exist.

        Raises:
            HttpError: 429, too many wrong passwords before.
        """
        who = (*self._tenant, *account)
        await counting(self._request, self._limiter.count_password, self._network, who)

    async def password_was_right(self, *account: str) -> None:
        """Earlier wrong passwords no longer count."""
        who = (*self._tenant, *account)
        await counting(self._request, self._limiter.password_was_right, self._network, who)


async def get_attempt_counter(request: Request, database: RequestDatabaseDep) -> AttemptCounter:
    """The counter of this request."""
    return AttemptCounter(request, tuple(database.binding.values()))


AttemptCounterDep = Annotated[AttemptCounter, Depends(get_attempt_counter)]
