"""How often one address, and one account, may knock."""

import ipaddress
import math
import time

from fastapi import Request
from limits import RateLimitItem, parse_many
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter

from ..settings import Settings
from . import errors

IPV6_NETWORK_BITS = 64  # what one subscriber gets


class RateLimiter:
    """Counts in this process, or in RATE_LIMIT_STORAGE_URL for all of them."""

    def __init__(self, settings: Settings) -> None:
        storage = settings.rate_limit_storage_url
        address = storage.get_secret_value() if storage else "memory://"
        self._limiter = FixedWindowRateLimiter(storage_from_string(address))
        self._per_address = parse_many(settings.rate_limit_per_address)
        self._per_account = parse_many(settings.rate_limit_per_account)

    def count(self, action: str, address: str, account: str | None) -> None:
        """Count one attempt.

        Raises:
            HttpError: 429, too many.
        """
        self._count(self._per_address, action, "address", address)
        if account is not None:
            self._count(self._per_account, action, "account", account)

    def _count(self, items: list[RateLimitItem], *who: str) -> None:
        for item in items:
            if not self._limiter.hit(item, *who):
                reset = self._limiter.get_window_stats(item, *who).reset_time
                seconds = max(1, math.ceil(reset - time.time()))
                raise errors.rate_limited(seconds)


def limit(request: Request, action: str, account: str | None = None) -> None:
    """Count an attempt of whoever asks and, if given, at this account.

    Accounts count by the request's tenant: who tries one in acme locks nobody out of another's.
    Addresses do not, or each tenant's name would be worth as many attempts again.

    Raises:
        HttpError: 429, too many.
    """
    limiter: RateLimiter = request.app.state.limiter
    if account is not None:
        account = f"{getattr(request.state, 'tenant', '')}/{account}"
    limiter.count(action, _network(request.client.host if request.client else ""), account)


def _network(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 4:
        return host
    return str(ipaddress.ip_network((address, IPV6_NETWORK_BITS), strict=False))
