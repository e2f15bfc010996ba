"""Asks for confirmation before tables are dropped with their rows."""

import sys

from .errors import not_confirmed


def confirm_undoing(command: str, *, confirmed: bool) -> None:
    """Continue only if it is confirmed, already or on the terminal.

    Args:
        command: the command that confirms in advance.
        confirmed: whether it was confirmed in advance.

    Raises:
        ActionableError: not-confirmed.
    """
    if confirmed:
        return
    if sys.stdin.isatty():
        answer = input("This undoes migrations, and may drop tables with their rows. Type yes: ")
        if answer.strip().lower() == "yes":
            return
    raise not_confirmed(command)
