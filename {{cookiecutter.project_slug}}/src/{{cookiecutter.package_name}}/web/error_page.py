"""The page at ``/errors``: each error code with its meaning, cause and solution.

The ``type`` of every error over HTTP links to it (RFC 9457, section 3.1.1). It needs no internet
and no JavaScript, contains no secret, and is served in production too.
"""

import base64
import hashlib
from functools import cache
from html import escape
from itertools import groupby

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from .. import TITLE
from .error_catalogue import Entry, read_catalogue
from .problem_details import PAGE

STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}"
    "section{border-top:1px solid;padding:.5rem 1rem}"
    ":target{outline:3px solid}"
    "h3{font-family:ui-monospace,monospace;margin:.5rem 0}"
    "dt{font-weight:600}dd{margin:0 0 .5rem}"
)
POLICY = (
    "default-src 'none'; frame-ancestors 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"
)

router = APIRouter(include_in_schema=False)


@router.get(PAGE)
def error_page() -> HTMLResponse:
    """Every error code, explained."""
    return HTMLResponse(_page(), headers={"Content-Security-Policy": POLICY})


@cache
def _page() -> str:
    title = escape(f"Errors of {TITLE}")
    groups = groupby(read_catalogue(), key=lambda entry: entry.section)
    sections = "".join(
        f"<h2>{escape(section)}</h2>" + "".join(map(_explained, entries))
        for section, entries in groups
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><main><h1>{title}</h1>"
        "<p>Find the code of your error. … stands for a name, a number or a text.</p>"
        f"{sections}</main></body></html>"
    )


def _explained(entry: Entry) -> str:
    lines = {
        "Status": entry.status,
        "Problem": entry.problem,
        "Impact": entry.impact,
        "Solution": entry.solution,
        "Cause and solution": entry.cause_and_cure,
    }
    rows = "".join(
        f"<dt>{name}</dt><dd>{escape(line)}</dd>" for name, line in lines.items() if line
    )
    code = escape(entry.code)
    return f'<section id="{code}"><h3>{code}</h3><dl>{rows}</dl></section>'
