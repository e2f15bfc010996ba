"""Settings of traces."""

from pydantic import Field

from .base import BasePart


class TracingSettings(BasePart):
    """OpenTelemetry's traces."""

    otel_exporter_otlp_endpoint: str | None = Field(
        None,
        description="Collector that receives traces by OTLP over HTTP: http://127.0.0.1:4318. "
        "Requires the extra otel: uv sync --extra otel",
    )
