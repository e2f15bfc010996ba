"""Every environment variable, typed and checked once.

Belongs here: one module for each feature's settings, joined in ``Settings``; a module is removed
together with its feature. May import: ``errors``. Imported by: everything above.
"""

import os
from pathlib import Path

from pydantic import ValidationError

from . import errors
from .accounts import AccountSettings
from .backup import BackupSettings
from .database import DatabaseSettings
from .drift import DriftSettings
from .lint import LintSettings
from .logging import LogSettings
from .mail import MailSettings
from .metrics import MetricsSettings
from .rolling import RollingSettings
from .tracing import TracingSettings
from .web import WebSettings

__all__ = ["Settings", "load_settings"]


class Settings(
    LogSettings,
    TracingSettings,
    MetricsSettings,
    MailSettings,
    AccountSettings,
    BackupSettings,
    DriftSettings,
    LintSettings,
    RollingSettings,
    DatabaseSettings,
    WebSettings,
):
    """All settings. The documentation lists the base classes from last to first."""


def load_settings(*, serving: bool = True) -> Settings:
    """Read the environment and, in development, the file ``.env``.

    Args:
        serving: whether the process will answer requests; a command that only migrates needs no
            secrets.

    Raises:
        ActionableError: a variable has an invalid value, or an unsafe one in production.
    """
    in_development = os.environ.get("ENVIRONMENT", "development") == "development"
    try:
        settings = Settings(_env_file=Path(".env") if in_development else None)
    except ValidationError as error:
        raise errors.settings_invalid(_faults(error)) from None
    if settings.in_production and (problems := settings.problems(serving=serving)):
        raise problems[0] if len(problems) == 1 else errors.settings_unsafe(problems)
    return settings


def _faults(error: ValidationError) -> list[str]:
    # The values stay out of the message: one of them may be a password.
    return [
        f"{'_'.join(map(str, fault['loc'])).upper() or 'Settings'}: {fault['msg']}"
        for fault in error.errors(include_input=False, include_url=False)
    ]
