"""Whether and where numbers about the service are served, in Prometheus' format."""

from typing import Self

from pydantic import Field, model_validator

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

    @model_validator(mode="after")
    def _metrics_have_a_port(self) -> Self:
        if self.metrics_port == self.port:
            raise ValueError("METRICS_PORT is PORT; leave it out to serve both on one")
        return self

    @property
    def serves_metrics(self) -> bool:
        """METRICS_ENABLED or its default."""
        return not self.in_production if self.metrics_enabled is None else self.metrics_enabled
