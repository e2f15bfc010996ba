"""Names with ``*``, which stands for any text. Every other character stands for itself."""

import re
from collections.abc import Iterable


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns describes the whole name. Case counts."""
    return any(re.fullmatch(_expression(one), name, re.DOTALL) for one in patterns)


def like(pattern: str) -> str:
    """The same pattern, as SQL's LIKE reads it with its usual escape character."""
    escaped = pattern.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    return escaped.replace("*", "%")


def _expression(pattern: str) -> str:
    return ".*".join(map(re.escape, pattern.split("*")))
