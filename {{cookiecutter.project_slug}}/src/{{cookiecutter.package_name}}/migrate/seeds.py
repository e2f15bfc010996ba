"""Seeds: files that insert initial or demonstration rows."""

import re
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from ..errors import ActionableError
from . import errors
from .backends import backend
from .folder import file_name
from .results import SeedsResult
from .scope import Scope

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

Seed = Callable[["Session"], None]

_TEMPLATE = '''"""{title}."""

from sqlalchemy.orm import Session


def run(session: Session) -> None:
    """Add rows. A second run must change nothing."""
'''


def make_seed(directory: Path, name: str) -> Path:
    """Write a blank seed with the next number.

    Raises:
        ActionableError: name-unusable, seed-taken.
    """
    slug = file_name(name, "seed")
    seeds = seed_files(directory)
    if any(_short_name(path) == slug for path in seeds):
        raise errors.seed_taken(slug)
    number = max((int(path.stem.partition("_")[0]) for path in seeds), default=0) + 1
    path = directory / f"{number:03}_{slug}.py"
    with path.open("x", encoding="utf-8", newline="\n") as file:
        file.write(_TEMPLATE.format(title=slug.replace("_", " ").capitalize()))
    return path


def run_seeds(
    engine: Engine, directory: Path, name: str | None = None, *, scope: Scope | None = None
) -> SeedsResult:
    """Run all seeds in file order, or the one called ``name``, each in one transaction.

    If a seed is unknown or does not load, none runs. A seed that fails is undone; earlier ones stay.

    Args:
        scope: the scope for unqualified table names.
    """
    done: list[str] = []
    try:
        seeds = _chosen(directory, name)
        with backend.reading(engine):
            pass  # a database that does not answer is not the first seed's error
        for path, seed in seeds:
            _run(engine, path, seed, scope)
            done.append(path.stem)
    except ActionableError as error:
        return SeedsResult(success=False, seeds=tuple(done), error=error)
    return SeedsResult(success=True, seeds=tuple(done))


def seed_files(directory: Path) -> list[Path]:
    """The seeds, in the order in which they run."""
    return sorted(path for path in directory.glob("*.py") if re.match(r"\d+_", path.name))


def _chosen(directory: Path, name: str | None) -> list[tuple[Path, Seed]]:
    paths = [path for path in seed_files(directory) if name is None or _is_called(path, name)]
    if name is not None and not paths:
        raise errors.seed_unknown(name, directory)
    return [(path, _load(path)) for path in paths]


def _run(engine: Engine, path: Path, seed: Seed, scope: Scope | None) -> None:
    from sqlalchemy.orm import Session  # slow to import, and not needed at a start

    try:
        with Session(engine) as session, session.begin():
            if scope is not None:
                scope.enter(session.connection())
            seed(session)
    except Exception as error:
        raise errors.seed_failed(path, error) from error


def _short_name(path: Path) -> str:
    return path.stem.partition("_")[2]


def _is_called(path: Path, name: str) -> bool:
    return name in {path.stem, path.name, _short_name(path)}


def _load(path: Path) -> Seed:
    try:
        spec = spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        seed: Seed = module.run
    except Exception as error:
        raise errors.seed_does_not_load(path, error) from error
    return seed
