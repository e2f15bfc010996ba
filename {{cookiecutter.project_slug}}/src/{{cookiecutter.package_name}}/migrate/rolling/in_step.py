"""Keeps an old and a new column equal while old and new code both write.

For a column that is renamed or gets another type: the expand adds the new column and
calls :func:`keep_in_step`; the contract that drops the old column calls :func:`stop_keeping`.
"""

from collections.abc import Sequence

from alembic import op
from sqlalchemy import text

from ..backends import backend


def keep_in_step(
    table: str, old: str, new: str, *, to_new: str | None = None, to_old: str | None = None
) -> None:
    """See :func:`migrate.api.keep_in_step`."""
    forward, back = to_new or f'"{old}"', to_old or f'"{new}"'
    _execute(backend.keep_in_step(table, old, new, to_new=forward, to_old=back))


def stop_keeping(table: str, old: str, new: str) -> None:
    """See :func:`migrate.api.stop_keeping`."""
    _execute(backend.stop_keeping(table, old, new))


def _execute(statements: Sequence[str]) -> None:
    for statement in statements:
        op.execute(text(statement.replace(":", r"\:")))  # otherwise :name would be a parameter
