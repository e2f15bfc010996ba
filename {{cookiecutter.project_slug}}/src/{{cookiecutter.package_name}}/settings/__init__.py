"""Every environment variable, typed and checked once.

Belongs here: one module for each feature's settings, joined in ``Settings``; a feature's settings
leave with it. May import: ``errors``. Imported by: everything above.
"""

import os
from pathlib import Path

from pydantic import ValidationError

from ..errors import Problem
from .accounts import AccountSettings
from .database import DatabaseSettings
from .logging import LogSettings
from .mail import MailSettings
from .migrations import MigrationSettings
from .web import WebSettings

__all__ = ["Settings", "load_settings"]


class Settings(
    LogSettings, MailSettings, AccountSettings, MigrationSettings, DatabaseSettings, WebSettings
):
    """What the environment says. The last part named comes first in the documentation."""


def load_settings(*, serving: bool = True) -> Settings:
    """Read the environment and, in development, the file ``.env``.

    Args:
        serving: whether requests will be answered; migrating alone needs no secrets.

    Raises:
        Problem: a variable has a value that it cannot have, or is unsafe in production.
    """
    in_development = os.environ.get("ENVIRONMENT", "development") == "development"
    try:
        settings = Settings(_env_file=Path(".env") if in_development else None)
    except ValidationError as error:
        raise _invalid(error) from None
    if settings.in_production and (problems := settings.problems(serving=serving)):
        raise _all(problems)
    return settings


def _invalid(error: ValidationError) -> Problem:
    # The values stay out of the message: one of them may be a password.
    faults = [
        f"{'_'.join(map(str, fault['loc'])).upper() or 'Settings'}: {fault['msg']}"
        for fault in error.errors(include_input=False, include_url=False)
    ]
    return Problem(
        "; ".join(faults),
        "The service does not start with settings it cannot understand.",
        "Correct them in the environment or in .env; .env.example describes each.",
    )


def _all(problems: list[Problem]) -> Problem:
    if len(problems) == 1:
        return problems[0]
    return Problem(
        "\n".join(problem.problem for problem in problems),
        "\n".join(problem.impact for problem in problems),
        "\n".join(problem.solution for problem in problems),
    )
