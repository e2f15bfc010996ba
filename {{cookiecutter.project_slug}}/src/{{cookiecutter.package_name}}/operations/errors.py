"""Errors of metrics and traces."""

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


def metrics_cannot_listen(host: str, port: int, cause: str) -> ActionableError:
    """Another program uses the port METRICS_PORT, or LISTEN_HOST is not an address of
    this machine. Stop that program, or choose another METRICS_PORT.
    """
    return ActionableError(
        "metrics-cannot-listen",
        f"METRICS_PORT: the service cannot listen on {host}, port {port}: {cause}",
        "The service does not start; it has not migrated and is not registered.",
        "Stop the program that uses the port, or choose another METRICS_PORT.",
    )
