"""Limits of attempts from one address, and of wrong passwords for one account.

Attempts are counted before any expensive work. If the storage at RATE_LIMIT_STORAGE_URL does not
answer, this process counts on its own meanwhile: nobody is locked out, and nobody can guess without
a limit.
"""

import math
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

import structlog
from fastapi import Request
from limits import RateLimitItem, parse_many
from limits.errors import StorageError
from limits.storage import MemoryStorage, Storage, storage_from_string

from ..errors import HttpError
from ..settings import Settings
from . import errors
from .client import network_of

LONGEST_DELAY_SECONDS = 15 * 60
FORGOTTEN_SECONDS = 60 * 60
KNOWN_SECONDS = 30 * 24 * 60 * 60
ALL_TENANTS = 5  # so many times the mails of one, to one address
STORAGE_TIMEOUT_SECONDS = 1.0
STORAGE_AGAIN_SECONDS = 5.0

T = TypeVar("T")

log = structlog.stdlib.get_logger(__name__)


class Counters:
    """Counts for all processes in a storage, or in this process while that is unreachable."""

    def __init__(self, address: str | None) -> None:
        self._here = MemoryStorage()
        self._shared = _storage(address) if address else None
        self._again = 0.0

    @property
    def are_here(self) -> bool:
        """Whether the counters are in this process, so that counting needs no network."""
        return self._shared is None

    def use(self, work: Callable[[Storage], T]) -> T:
        """Do something with the counters."""
        if self._shared is None or time.monotonic() < self._again:
            return work(self._here)
        try:
            return work(self._shared)
        except StorageError as error:
            self._again = time.monotonic() + STORAGE_AGAIN_SECONDS
            log.error(
                "RATE_LIMIT_STORAGE_URL does not answer: this process counts on its own",
                reason=str(error.storage_error),
            )
            return work(self._here)


class RateLimiter:
    """The limits of the settings.

    ``network`` is the client's network, see ``web.client``; ``account`` names an account within
    its tenant, which need not exist.
    """

    def __init__(self, settings: Settings) -> None:
        storage = settings.rate_limit_storage_url
        self.counters = Counters(storage.get_secret_value() if storage else None)
        self._per_address = parse_many(settings.rate_limit_per_address)
        self._per_account = parse_many(settings.rate_limit_per_account)
        self._mails = parse_many(settings.rate_limit_mails)
        self._free = settings.wrong_passwords_before_delay

    def count_attempt(self, action: str, network: str) -> None:
        """Count an attempt from a network.

        Raises:
            HttpError: 429, too many.
        """
        self.counters.use(lambda storage: _count(storage, self._per_address, action, network))

    def count_password(self, network: str, account: tuple[str, ...]) -> None:
        """Count a password before it is compared.

        From one network, each attempt after the first few must wait twice as long as the one
        before. All networks together have RATE_LIMIT_PER_ACCOUNT attempts. Networks from which
        somebody has signed in to the account do not count: an attacker cannot lock the owner out.

        Raises:
            HttpError: 429, too many.
        """

        def count(storage: Storage) -> None:
            delayed = _key("delayed", network, *account)
            attempts = storage.incr(_key("attempts", network, *account), FORGOTTEN_SECONDS)
            if attempts > self._free:
                delay = min(2 ** min(attempts - self._free, 20) // 2, LONGEST_DELAY_SECONDS)
                if storage.incr(delayed, delay) > 1:
                    raise _too_many(storage, delayed)
            if not storage.get(_key("known", network, *account)):
                _count(storage, self._per_account, "password", *account)

        self.counters.use(count)

    def password_was_right(self, network: str, account: tuple[str, ...]) -> None:
        """Forget the attempts before it, and remember the network."""

        def note(storage: Storage) -> None:
            storage.clear(_key("attempts", network, *account))
            storage.clear(_key("delayed", network, *account))
            if storage.incr(_key("known", network, *account), KNOWN_SECONDS) == 1:
                for item in self._per_account:  # it was counted before it was known to be right
                    storage.incr(item.key_for("password", *account), item.get_expiry(), -1)

        self.counters.use(note)

    def may_mail(self, kind: str, network: str, account: tuple[str, ...]) -> bool:
        """Whether one more mail of this kind may be sent, after counting it.

        Known networks, see :meth:`count_password`, have a separate count: nobody else can use up
        the owner's mails.

        Args:
            account: its last part is the address.
        """

        def count(storage: Storage) -> bool:
            known = "known" if storage.get(_key("known", network, *account)) else "stranger"
            of_all = ("mails of all tenants", kind, known, account[-1])
            return all(
                storage.incr(item.key_for(*who), item.get_expiry()) <= item.amount * times
                for who, times in ((("mail", kind, known, *account), 1), (of_all, ALL_TENANTS))
                for item in self._mails
            )

        return self.counters.use(count)


async def counting(request: Request, count: Callable[..., T], *arguments: Any) -> T:
    """Count for a request: directly, or in a thread if the counters are in a storage."""
    limiter: RateLimiter = request.app.state.limiter
    if limiter.counters.are_here:
        return count(*arguments)
    result: T = await request.app.state.lanes.counting.run(count, *arguments)
    return result


async def limit(request: Request, action: str) -> None:
    """Count an attempt of the requesting client.

    It counts by address and ignores the tenant; otherwise each tenant would allow the same number
    of attempts again.

    Raises:
        HttpError: 429, too many.
    """
    limiter: RateLimiter = request.app.state.limiter
    await counting(request, limiter.count_attempt, action, network_of(request.scope))


def _storage(address: str) -> Storage:
    how: dict[str, Any] = {"wrap_exceptions": True}
    if address.startswith("redis"):
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        how["socket_timeout"] = how["socket_connect_timeout"] = STORAGE_TIMEOUT_SECONDS
        how["retry"] = Retry(NoBackoff(), 0)
    return cast(Storage, storage_from_string(address, **how))


def _count(storage: Storage, items: list[RateLimitItem], *who: str) -> None:
    for item in items:
        key = item.key_for(*who)
        if storage.incr(key, item.get_expiry()) > item.amount:
            raise _too_many(storage, key)


def _too_many(storage: Storage, key: str) -> HttpError:
    return errors.rate_limited(max(1, math.ceil(storage.get_expiry(key) - time.time())))


def _key(*parts: str) -> str:
    return "/".join(["PASSWORDS", *(part.replace("/", "//") for part in parts)])
