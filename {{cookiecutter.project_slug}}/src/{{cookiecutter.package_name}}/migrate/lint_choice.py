"""Chooses the migrations to lint, and those to apply before them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from .config import MigrationConfig
from .folder import Folder, parents
from .plan import find, find_ahead, make_plan, read_state
from .select import all_pending

if TYPE_CHECKING:
    from alembic.script import Script


@dataclass(frozen=True)
class Run:
    """Migrations that are linted as one run.

    Attributes:
        before: the migrations to apply before them, in order.
    """

    before: "Sequence[Script]"
    linted: "Sequence[Script]"


# Chooses the runs to lint. Raises ActionableError if it is not possible.
Runs = Callable[[Folder], Sequence[Run]]


def pending(engine: Engine, config: MigrationConfig) -> Runs:
    """The pending migrations of a database, which is only read."""

    def runs(folder: Folder) -> Sequence[Run]:
        state = read_state(engine, config)
        if find_ahead(folder, state):
            return []  # a newer release has migrated the database
        plan = make_plan(folder, state)
        return [Run(plan.applied, all_pending(plan))]

    return runs


def since(name: str) -> Runs:
    """All migrations except the one of this name and those that it needs."""

    def runs(folder: Folder) -> Sequence[Run]:
        known = {find(folder.chain, name).revision}
        for script in reversed(folder.chain):
            if script.revision in known:
                known.update(parents(script))
        before = [script for script in folder.chain if script.revision in known]
        return [Run(before, [script for script in folder.chain if script not in before])]

    return runs


def called(names: Iterable[str]) -> Runs:
    """The migrations of these names; those between them are applied but not linted."""

    def runs(folder: Folder) -> Sequence[Run]:
        chosen = [find(folder.chain, name) for name in names]
        found: list[Run] = []
        for at, script in enumerate(folder.chain):
            if script in chosen and at and folder.chain[at - 1] in chosen:
                found[-1] = replace(found[-1], linted=[*found[-1].linted, script])
            elif script in chosen:
                found.append(Run(folder.chain[:at], [script]))
        return found

    return runs
