"""Cookies are read in linear time on every Python that the service supports.

FastAPI reads the cookies of each request. Python before 3.11.10 and 3.12.6 takes quadratic time for
a quoted cookie with many backslashes (CVE-2024-7592): five seconds for 32 kB.
"""

import http.cookies
import re
import sys

CURED_FROM = (3, 12, 6)

_ESCAPE = re.compile(r"\\(?:([0-3][0-7][0-7])|(.))", re.DOTALL)


def read_cookies_in_linear_time() -> None:
    """Replace Python's function if it is the slow one."""
    if sys.version_info < CURED_FROM:
        http.cookies._unquote = unquote  # type: ignore[assignment]


def unquote(value: str) -> str:
    """The text of a cookie: without its quotes, each escape replaced by its character."""
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    return _ESCAPE.sub(_character, value[1:-1])


def _character(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 8)) if escape[1] else escape[2]
