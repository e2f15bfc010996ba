"""Settings of the metrics, which have Prometheus' format."""

from typing import Self

from pydantic import Field, model_validator

from .web import WebSettings


class MetricsSettings(WebSettings):
    """The metrics."""

    metrics_enabled: bool | None = Field(
        None,
        description="Serve metrics. Default: not in production, where everybody who reaches the "
        "service could read /metrics; METRICS_PORT moves it to another port.",
    )
    metrics_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Serve /metrics on this port of LISTEN_HOST instead of PORT.",
    )

    @model_validator(mode="after")
    def _metrics_have_a_port(self) -> Self:
        if self.metrics_port == self.port:
            raise ValueError(
                "METRICS_PORT is the same as PORT; leave it out to serve both on one port"
            )
        return self

    @property
    def serves_metrics(self) -> bool:
        """METRICS_ENABLED or its default."""
        return not self.in_production if self.metrics_enabled is None else self.metrics_enabled
