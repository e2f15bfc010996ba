"""Asks before tables are dropped with their rows."""

import sys

from .errors import not_confirmed


def confirm_undoing(command: str, *, confirmed: bool) -> None:
    """Go on only with a yes: given already, or typed on the terminal.

    Args:
        command: what to type to confirm beforehand.
        confirmed: whether it was.

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
