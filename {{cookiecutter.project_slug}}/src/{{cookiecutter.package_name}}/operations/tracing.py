"""Traces, if OTEL_EXPORTER_OTLP_ENDPOINT is set; otherwise nothing is imported."""

from typing import TYPE_CHECKING

from ..settings import Settings
from .errors import tracing_not_installed

if TYPE_CHECKING:
    from .spans import Tracing


def tracing_for(settings: Settings) -> "Tracing | None":
    """The object that creates and sends spans.

    Raises:
        ActionableError: tracing-not-installed.
    """
    endpoint = settings.otel_exporter_otlp_endpoint
    if endpoint is None:
        return None
    try:
        from .spans import Tracing
    except ModuleNotFoundError as error:
        raise tracing_not_installed(str(error.name)) from error
    return Tracing(endpoint)
