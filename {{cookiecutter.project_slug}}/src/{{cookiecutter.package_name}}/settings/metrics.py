"""Whether and where numbers about the service are served, in Prometheus' format."""

from pydantic import Field

from .web import WebSettings


class MetricsSettings(WebSettings):
    """The metrics."""

    metrics_enabled: bool | None = Field(
        None,
        description="Serve metrics. Default: not in production, where /metrics would be open to "
        "whoever reaches the service; METRICS_PORT keeps it apart.",
    )
    metrics_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Serve /metrics on this port of LISTEN_HOST in place of PORT.",
    )

    @property
    def serves_metrics(self) -> bool:
        """METRICS_ENABLED or its default."""
        return not self.in_production if self.metrics_enabled is None else self.metrics_enabled
