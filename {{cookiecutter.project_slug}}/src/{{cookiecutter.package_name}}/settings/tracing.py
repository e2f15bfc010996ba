"""Where traces go."""

from pydantic import Field

from .base import BasePart


class TracingSettings(BasePart):
    """OpenTelemetry's traces."""

    otel_exporter_otlp_endpoint: str | None = Field(
        None,
        description="Collector that takes traces by OTLP over HTTP: http://127.0.0.1:4318. Needs "
        "the extra otel: uv sync --extra otel",
    )
