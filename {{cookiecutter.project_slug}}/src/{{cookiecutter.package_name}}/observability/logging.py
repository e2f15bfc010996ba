"""Logging: readable in development, JSON in production, no secrets in either."""

import asyncio
import logging
import re
import sys
from functools import lru_cache
from io import StringIO
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor

_SECRET_KEY = re.compile(r"password|secret|token|authorization|cookie|api_key", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(?P<user>://[^:/@\s]*):[^@\s]+@")


# C0, C1, line and paragraph separators, and characters that change the direction of text.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_CONTROL_IN_LINES = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


def configure_logging(level: str, *, as_json: bool) -> None:
    """Send all records, also those of libraries, through one pipeline to standard error."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        _drop_colours,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_secrets,
    ]
    renderers: list[Processor]
    if as_json:
        # Tracebacks show no local variables: one of them may be a password.
        frames = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        renderers = [
            structlog.processors.ExceptionRenderer(frames),
            structlog.processors.JSONRenderer(),
        ]
    else:
        console = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=_plain_traceback
        )
        renderers = [_show_controls, console]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
    )
    handler = _Handler()
    handler.setFormatter(formatter)
    handler.addFilter(_is_news)
    root = logging.getLogger()
    for former in [h for h in root.handlers if isinstance(h, _Handler)]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(level)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # the engine logs its migrations itself
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,  # first, so that filtered records cost nothing
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _drop_colours(_logger: Any, _method: str, event: EventDict) -> EventDict:
    event.pop("color_message", None)  # uvicorn's second copy of each message, with colours
    return event


def hide_secrets(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Replace the values of keys with secret-sounding names, and passwords inside URLs."""
    for key, value in event.items():
        if _sounds_secret(key):
            event[key] = "***"
        elif isinstance(value, str) and "://" in value:
            event[key] = _URL_PASSWORD.sub(r"\g<user>:***@", value)
    return event


@lru_cache(maxsize=1000)
def _sounds_secret(key: str) -> bool:
    return _SECRET_KEY.search(key) is not None


def _show_controls(_logger: Any, _method: str, event: EventDict) -> EventDict:
    # Text from a client must not move the cursor, change colours or forge lines. JSON escapes such
    # characters itself.
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = _CONTROL.sub(_shown, value)
    return event


def _plain_traceback(out: TextIO, exc_info: ExcInfo) -> None:
    written = StringIO()
    structlog.dev.plain_traceback(written, exc_info)
    out.write(_CONTROL_IN_LINES.sub(_shown, written.getvalue()))


def _shown(control: re.Match[str]) -> str:
    return control[0].encode("unicode_escape").decode()


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to the standard error of the moment in which a line is written.

    Its own class distinguishes it from other handlers, so that configuring twice logs once.
    """

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def _is_news(record: logging.LogRecord) -> bool:
    # uvicorn says how many requests it cancelled at the end of a shutdown, and adds a traceback for
    # each.
    if record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError):
        return False
    # A failed start is already explained in three lines; uvicorn would add a traceback.
    return not (record.name == "uvicorn.error" and record.getMessage().startswith("Traceback"))
