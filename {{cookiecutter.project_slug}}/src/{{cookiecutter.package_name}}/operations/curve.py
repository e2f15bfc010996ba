"""A curve of the newest durations: the values for a few lines of SVG, and the same as text."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..migrate import MigrationRun, RunState

WIDTH, HEIGHT, MARGIN = 400.0, 100.0, 8.0  # in the drawing's units
SHOWN = (RunState.APPLIED, RunState.ROLLED_BACK, RunState.PARTLY_ROLLED_BACK, RunState.FAILED)


@dataclass(frozen=True)
class Dot:
    """A run: its position in the drawing, and whether it failed."""

    x: float
    y: float
    failed: bool


@dataclass(frozen=True)
class Curve:
    """A curve: the oldest run is on the left, the longest at the top.

    Attributes:
        text: its content in words, for people who cannot see it.
    """

    dots: tuple[Dot, ...]
    text: str

    @property
    def line(self) -> str:
        """The points of SVG's ``polyline``."""
        return " ".join(f"{dot.x:.1f},{dot.y:.1f}" for dot in self.dots)


def curve_of(runs: Sequence[MigrationRun]) -> Curve | None:
    """The curve; None if fewer than two runs have a duration.

    Args:
        runs: newest first.
    """
    shown = [run for run in reversed(runs) if run.state in SHOWN]
    if len(shown) < 2:
        return None
    longest = max(run.duration for run in shown) or 1.0
    step = (WIDTH - 2 * MARGIN) / (len(shown) - 1)
    high = HEIGHT - 2 * MARGIN
    dots = tuple(
        Dot(
            MARGIN + place * step,
            HEIGHT - MARGIN - high * run.duration / longest,
            run.state is RunState.FAILED,
        )
        for place, run in enumerate(shown)
    )
    return Curve(dots, f"Seconds of the last {len(shown)} runs, oldest first: {_said(shown)}")


def _said(runs: Sequence[MigrationRun]) -> str:
    return ", ".join(
        f"{run.duration:.3f}{' (failed)' if run.state is RunState.FAILED else ''}" for run in runs
    )
