"""The last comparison of the database with its migrations, for operators.

It is kept in the memory of the process that made it, because a comparison must not change the
database, and no table of the engine fits: the rows of the history belong to migrations.
So each instance shows its own last comparison, and a new instance shows none.
"""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine

from ..migrate import MigrationConfig, SchemaDifference, verify_schema
from ..words import count
from .target import compare_tenants


@dataclass(frozen=True)
class Verification:
    """The result of a comparison; in a multi-tenant service, of the schema ``public``.

    Attributes:
        verified_at: its start.
        seconds: its duration.
        pending: names of migrations that were not applied and so not compared.
        changed_since_run: whether the schema has changed since the last run; None if that run
            recorded no fingerprint.
        tenants: the numbers of tenants' schemas that were compared, that differ, and that were left
            out; None without tenants.
    """

    verified_at: datetime
    seconds: float
    differences: tuple[SchemaDifference, ...]
    pending: tuple[str, ...]
    changed_since_run: bool | None
    tenants: tuple[int, int, int] | None

    @property
    def tenants_that_differ(self) -> int:
        """The number of tenants whose schema differs from the migrations."""
        return self.tenants[1] if self.tenants else 0

    @property
    def is_in_step(self) -> bool:
        """Whether nothing differs."""
        return not (self.differences or self.tenants_that_differ)

    @property
    def sentence(self) -> str:
        """The result in a sentence, without the full stop."""
        text = "the schema is what its applied migrations make"
        if self.differences:
            found = count(len(self.differences), "difference")
            text = f"{found} between the schema and what its applied migrations make"
        if not self.tenants:
            return text
        compared, differ, left_out = self.tenants
        verb = "differs" if differ == 1 else "differ"
        text += f"; of {count(compared, 'tenant')} {differ} {verb}"
        return f"{text}, {left_out} not compared" if left_out else text


class Verifications:
    """Makes comparisons, and remembers the last successful one.

    Attributes:
        last: None before the first.
        turn: the lock of a running comparison: the next one waits without a thread or connection.
    """

    def __init__(self) -> None:
        self.last: Verification | None = None
        self.turn = asyncio.Lock()

    @property
    def notice(self) -> str | None:
        """The notice of readiness if the last comparison found differences."""
        if self.last is None or self.last.is_in_step:
            return None
        return f"{self.last.sentence} (verified at {self.last.verified_at:%Y-%m-%d %H:%M:%S} UTC)"

    def verify(self, engine: Engine, config: MigrationConfig) -> Verification:
        """Compare now, in this thread.

        Raises:
            ActionableError: nothing could be compared; ``last`` does not change.
        """
        verified_at, began = datetime.now(UTC), time.perf_counter()
        result = verify_schema(engine, config=config)
        if result.error is not None:
            raise result.error
        self.last = Verification(
            verified_at=verified_at,
            seconds=time.perf_counter() - began,
            differences=result.differences,
            pending=result.pending,
            changed_since_run=result.changed_since_run,
            tenants=compare_tenants(engine, config),
        )
        return self.last
