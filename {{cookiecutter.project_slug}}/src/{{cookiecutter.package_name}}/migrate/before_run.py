"""What is done before a run that has something to do, so that there is a way back."""

from collections.abc import Callable, Sequence

from sqlalchemy import Engine

from ..errors import ActionableError

# Is handed the schemas that the run will touch, None for the whole database, and the revision that they
# will have, "" for none; returns the name of the backup that it made, if it did. What it raises ends
# the run before anything is changed.
BeforeRun = Callable[[Engine, Sequence[str] | None, str], str | None]


def nothing(engine: Engine, schemas: Sequence[str] | None, target: str) -> None:
    """The default."""


class OncePerRun:
    """Does it at the first call and never again: a run over many tenants consists of many."""

    def __init__(self, before_run: BeforeRun) -> None:
        self._before_run = before_run
        self._was_called = False
        self._backup: str | None = None

    def __call__(self, engine: Engine, schemas: Sequence[str] | None, target: str) -> str | None:
        if not self._was_called:
            self._backup = self._before_run(engine, schemas, target)
            self._was_called = True
        return self._backup


def with_way_back(
    error: ActionableError, backup: str | None, tenant: str | None
) -> ActionableError:
    """The same error, whose solution also says how to restore the backup that was made before."""
    if backup is None:
        return error
    command = f"backup restore {backup}" + (f" --tenant {tenant}" if tenant else "")
    solution = f"{error.solution} (or go back to the backup made before: {command})"
    return ActionableError(error.code, error.problem, error.impact, solution)
