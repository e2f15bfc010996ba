"""The tables for tests, and a session on them."""

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from {{ cookiecutter.package_name }}.migrate import run_migrations

HEADERS: dict[str, str] = {}
BEFORE_SEEDS: tuple[str, ...] = ()
SEED_RUN = "seed run"


def prepare(engine: Engine) -> None:
    """Create every table."""
    run_migrations(engine).raise_for_error()


def open_session(engine: Engine) -> Session:
    """A session on the tables."""
    return Session(engine)
