"""The command line."""

from ..errors import ActionableError


def seeds_in_production() -> ActionableError:
    """``seed run`` was typed where ENVIRONMENT is production. Check where you are. ``--force``
    runs the seeds all the same.
    """
    return ActionableError(
        "seeds-in-production",
        "Seeds are for development, and ENVIRONMENT is production.",
        "Nothing was run: demonstration rows have no place among real ones.",
        "If it must be: seed run --force",
    )
