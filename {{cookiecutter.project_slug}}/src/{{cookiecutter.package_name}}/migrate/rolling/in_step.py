"""Keeps an old and a new column equal while old and new code both write.

For a column that is renamed or gets another type: the expand adds the new column and
calls :func:`keep_in_step`; the contract that drops the old column calls :func:`stop_keeping`.
"""

from collections.abc import Sequence

from sqlalchemy import text

from ..backends import backend


def keep_in_step(
    table: str, old: str, new: str, *, to_new: str | None = None, to_old: str | None = None
) -> None:
    """In a migration: create triggers that copy each written value of one column to the other.

    An insert that sets ``new`` comes from new code, and ``old`` gets the value; otherwise ``new``
    gets the value of ``old``. So ``new`` must have no default while the triggers exist. If an
    update changes both, ``new`` wins. Existing rows do not change until they are updated.

    On SQLite ``old`` must be nullable, because a trigger there fills it only after the insert. A
    rebuild of the table drops its triggers, so rebuild it first.

    Args:
        to_new: SQL for the new value, from the row's columns. Default: the old value.
        to_old: SQL for the old value, from the row's columns. Default: the new value.
    """
    forward, back = to_new or f'"{old}"', to_old or f'"{new}"'
    _execute(backend.keep_in_step(table, old, new, to_new=forward, to_old=back))


def stop_keeping(table: str, old: str, new: str) -> None:
    """In a migration: undo :func:`keep_in_step`; does nothing if that was not called."""
    _execute(backend.stop_keeping(table, old, new))


def _execute(statements: Sequence[str]) -> None:
    from alembic import op  # slow to import, and not needed at a start

    for statement in statements:
        op.execute(text(statement.replace(":", r"\:")))  # otherwise :name would be a parameter
