"""The command line. The ``make`` targets call it.

A module of this folder with a ``group`` is a group of commands with the module's name. Imports are
inside the commands, so that ``migrate status`` does not load a web framework.

Belongs here: options, and the output of results. May import: everything but ``app`` and ``routes``.
Imported by: ``__main__``.
"""

import sys
from importlib import import_module
from pkgutil import iter_modules
from typing import NoReturn

import typer

from ..errors import ActionableError
from .output import print_failure
from .serve import serve

KNEX_NAMES = {"currentVersion": "current"}  # the others are the same

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(serve)
for module in iter_modules(__path__):
    group = getattr(import_module(f".{module.name}", __name__), "group", None)
    if group is not None:
        app.add_typer(group, name=module.name)


def main() -> NoReturn:
    """Run the command line. Exit 0: done or nothing to do; 1: failed; 2: misuse."""
    try:
        app(in_words(sys.argv[1:]))
    except ActionableError as error:
        # The command has failed, so the parsed value of the option is lost.
        print_failure(error, as_json="--json" in sys.argv)
    sys.exit(1)


def in_words(arguments: list[str]) -> list[str]:
    """Translate Knex's spelling: ``migrate:currentVersion`` is ``migrate current``."""
    words = [*arguments[0].split(":"), *arguments[1:]] if arguments else []
    return [*words[:1], *(KNEX_NAMES.get(word, word) for word in words[1:2]), *words[2:]]
