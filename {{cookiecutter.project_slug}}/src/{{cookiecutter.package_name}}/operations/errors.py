"""What operators see."""

from ..errors import ActionableError


def tracing_not_installed(missing: str) -> ActionableError:
    """OTEL_EXPORTER_OTLP_ENDPOINT is set, and the packages of the extra ``otel`` are not
    installed. Install them, or unset the variable.
    """
    return ActionableError(
        "tracing-not-installed",
        f"OTEL_EXPORTER_OTLP_ENDPOINT is set, and {missing} is not installed.",
        "No trace can be sent, so the service does not start.",
        "Install it: uv sync --extra otel. Or unset OTEL_EXPORTER_OTLP_ENDPOINT.",
    )
