"""Settings of the log."""

from typing import Literal

from pydantic import Field

from .base import BasePart


class LogSettings(BasePart):
    """Level and format of the log."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR."
    )
    log_format: Literal["console", "json"] | None = Field(
        None, description="console or json. Default: json in production, otherwise console."
    )

    @property
    def logs_json(self) -> bool:
        """LOG_FORMAT or its default."""
        return self.log_format == "json" if self.log_format else self.in_production
