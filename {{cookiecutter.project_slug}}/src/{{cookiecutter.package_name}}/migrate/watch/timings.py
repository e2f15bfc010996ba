"""The durations of a migration's statements. The slowest are stored, without values."""

import heapq
import re
from collections.abc import Mapping
from typing import Any

KEPT_STATEMENTS = 5
KEPT_CHARACTERS = 200

# Parts that may contain a value: text in any quotes of SQL, comments, and numbers.
_VALUE = re.compile(
    r"""[EeBbXxNn]?'(?:[^'\\]|''|\\.)*(?:'|\Z)     # a text, or one that does not end
      | \$(\w*)\$.*?(?:\$\1\$|\Z)                  # a text in dollars
      | --[^\n]* | /\*.*?(?:\*/|\Z)
      | (?<![\w$%:.])\d+(?:\.\d+)?(?:[eE][+-]?\d+)?""",
    re.S | re.X,
)


def without_values(statement: str) -> str:
    """The statement in one line, with ``?`` instead of each value, cut to a maximum length."""
    line = " ".join(_VALUE.sub("?", statement).split())
    return line if len(line) <= KEPT_CHARACTERS else f"{line[: KEPT_CHARACTERS - 1]}…"


class Timings:
    """The slowest statements of one migration."""

    def __init__(self) -> None:
        self._slowest: list[tuple[float, int, str, int | None]] = []
        self._number = 0

    def add(self, statement: str, seconds: float, rows: int | None) -> None:
        """Record a statement, if it is among the slowest so far.

        Args:
            rows: number of rows written or returned; None if the driver does not report it.
        """
        self._number += 1
        if len(self._slowest) == KEPT_STATEMENTS and seconds <= self._slowest[0][0]:
            return
        push = heapq.heappush if len(self._slowest) < KEPT_STATEMENTS else heapq.heapreplace
        push(self._slowest, (seconds, self._number, without_values(statement), rows))

    def take(self) -> list[Mapping[str, Any]]:
        """Return the slowest statements, slowest first, for JSON, and start again."""
        slowest, self._slowest = sorted(self._slowest, reverse=True), []
        return [
            {"statement": statement, "seconds": round(seconds, 4), "rows": rows}
            for seconds, _, statement, rows in slowest
        ]
