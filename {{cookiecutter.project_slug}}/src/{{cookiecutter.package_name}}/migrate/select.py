"""Chooses the migrations of a run. Each function picks them from a plan, in the order of the run.

If the goal is already reached, there is nothing to do, and it is not an error.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from . import errors
from .folder import name_of
from .plan import Plan, find

if TYPE_CHECKING:
    from alembic.script import Script

# Raises ActionableError if it is not possible.
Choice = Callable[[Plan], "Sequence[Script]"]


def all_pending(plan: Plan) -> "Sequence[Script]":
    """All pending migrations.

    Raises:
        ActionableError: multiple-heads, or the folder has errors.
    """
    plan.folder.check_one_head()
    return plan.pending


def next_pending(plan: Plan) -> "Sequence[Script]":
    """The next pending migration.

    Raises:
        ActionableError: multiple-heads, or the folder has errors.
    """
    return all_pending(plan)[:1]


def pending_called(name: str) -> Choice:
    """The migration of this name, if it is next."""

    def choose(plan: Plan) -> "Sequence[Script]":
        plan.folder.check_one_head()
        script = find((*plan.applied, *plan.pending), name)
        if script in plan.applied:
            return []
        if script is not plan.pending[0]:
            raise errors.not_next(name_of(script), name_of(plan.pending[0]))
        return [script]

    return choose


def newest_batch(plan: Plan) -> "Sequence[Script]":
    """The newest batch, last applied first; never a baseline."""
    return plan.newest_batch()


def newest(plan: Plan) -> "Sequence[Script]":
    """The newest applied migration.

    Raises:
        ActionableError: baseline-stays, the engine did not run it.
    """
    return refuse_baseline(plan, plan.applied[::-1][:1])


def every_batch(plan: Plan) -> "Sequence[Script]":
    """All batches, last applied first; never a baseline."""
    baseline = [script for script in plan.applied if plan.batch_of(script) is None]
    last = plan.applied.index(baseline[-1]) + 1 if baseline else 0
    return plan.applied[last:][::-1]


def applied_called(name: str) -> Choice:
    """The migration of this name, if it is the newest applied one."""

    def choose(plan: Plan) -> "Sequence[Script]":
        script = find((*plan.applied, *plan.pending), name)
        if script in plan.pending:
            return []
        if script is not plan.applied[-1]:
            raise errors.not_newest(name_of(script), name_of(plan.applied[-1]))
        return refuse_baseline(plan, [script])

    return choose


def refuse_baseline(plan: Plan, scripts: "Sequence[Script]") -> "Sequence[Script]":
    """The same scripts, if none of them is a baseline.

    Raises:
        ActionableError: baseline-stays.
    """
    if stays := [name_of(script) for script in scripts if plan.batch_of(script) is None]:
        raise errors.baseline_stays(stays)
    return scripts
