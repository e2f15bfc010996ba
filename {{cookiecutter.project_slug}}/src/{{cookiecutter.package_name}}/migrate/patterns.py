"""Names with ``*``, which stands for any text. Every other character stands for itself."""

import re
from collections.abc import Iterable


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns matches the whole name. Case matters."""
    return any(re.fullmatch(_expression(one), name, re.DOTALL) for one in patterns)


def like(pattern: str) -> str:
    """The same pattern for SQL's LIKE with its default escape character."""
    escaped = pattern.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    return escaped.replace("*", "%")


def _expression(pattern: str) -> str:
    return ".*".join(map(re.escape, pattern.split("*")))
