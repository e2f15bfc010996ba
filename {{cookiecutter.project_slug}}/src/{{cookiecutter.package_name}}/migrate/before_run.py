"""The step before a run that has something to do: it can make a backup."""

from collections.abc import Callable, Sequence

from sqlalchemy import Engine

from ..errors import ActionableError

# Gets the schemas that the run will change (None: the whole database) and the revision that it will
# reach ("": none); returns the name of the backup, if it made one. If it raises, the run ends before
# anything is changed.
BeforeRun = Callable[[Engine, Sequence[str] | None, str], str | None]


def nothing(engine: Engine, schemas: Sequence[str] | None, target: str) -> None:
    """The default: do nothing."""


class OncePerRun:
    """Calls it only once: a run over many tenants consists of many runs."""

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
    """The same error with a solution that also names the command to restore the backup."""
    if backup is None:
        return error
    command = f"backup restore {backup}" + (f" --tenant {tenant}" if tenant else "")
    solution = f"{error.solution} (or go back to the backup made before: {command})"
    return ActionableError(error.code, error.problem, error.impact, solution)
