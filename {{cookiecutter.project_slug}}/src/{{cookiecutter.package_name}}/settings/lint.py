"""What happens when a migration would hurt a live site."""

from typing import Literal

from pydantic import Field

from .base import BasePart, CommaSeparated


class LintSettings(BasePart):
    """Linting of migrations."""

    migration_lint: Literal["off", "warn", "error"] = Field(
        "warn",
        description="What pending migrations that would hurt a live site lead to. warn: in "
        "production, commands that apply migrations say so and go on. error: they and the start of the "
        "service refuse them, anywhere. off: nothing.",
    )
    lint_small_tables: CommaSeparated = Field(
        (),
        description="Tables, separated by commas, that are so small that nothing takes long on them.",
    )
