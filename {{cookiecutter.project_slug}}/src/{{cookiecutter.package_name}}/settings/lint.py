"""Settings of the linter of migrations."""

from typing import Literal

from pydantic import Field

from .base import BasePart, CommaSeparated


class LintSettings(BasePart):
    """Linting of migrations."""

    migration_lint: Literal["off", "warn", "error"] = Field(
        "warn",
        description="Check of pending migrations for statements that hurt a live site. warn: in "
        "production, commands that apply migrations print the findings and continue. error: these "
        "commands and the start of the service refuse such migrations. off: no check.",
    )
    lint_small_tables: CommaSeparated = Field(
        (),
        description="Tables, separated by commas, that are so small that every statement is quick.",
    )
