"""Seeds run in file order, each in one transaction, all validated before the first."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from my_service.errors import ActionableError
from my_service.migrate import SeedsResult, make_seed, run_seeds

from engine.support import Command, Database

ROW = "from sqlalchemy import text\ndef run(session):\n"


@pytest.fixture
def seeds(tmp_path: Path, database: Database) -> Path:
    """An empty folder of seeds, and a table for their rows."""
    database.ask("CREATE TABLE rows (name TEXT)")
    folder = tmp_path / "seeds"
    folder.mkdir()
    return folder


def seed(folder: Path, name: str, *statements: str) -> None:
    """Write a seed that inserts its own name and then runs another line."""
    lines = [f"    session.execute(text(\"INSERT INTO rows VALUES ('{name}')\"))", *statements]
    (folder / f"{name}.py").write_text(ROW + "\n".join(lines) + "\n")


def rows(database: Database) -> list[str]:
    """The rows of the seeds."""
    return [name for (name,) in database.ask("SELECT name FROM rows ORDER BY name")]


def test_make_numbers_seeds_and_never_overwrites(seeds: Path) -> None:
    assert make_seed(seeds, "Demo users").name == "001_demo_users.py"
    assert make_seed(seeds, "more").name == "002_more.py"
    (seeds / "001_demo_users.py").write_text("mine")
    with pytest.raises(ActionableError, match="already a seed called 'demo_users'"):
        make_seed(seeds, "demo-users")
    assert (seeds / "001_demo_users.py").read_text() == "mine"
    with pytest.raises(ActionableError, match="cannot be the name of a seed"):
        make_seed(seeds, "../x")


def test_seeds_run_in_file_order_or_one_by_any_of_its_names(
    seeds: Path, engine: sa.Engine, database: Database
) -> None:
    for name in ("010_z", "002_b", "001_a"):
        seed(seeds, name)
    assert run_seeds(engine, seeds) == SeedsResult(success=True, seeds=("001_a", "002_b", "010_z"))
    for name in ("b", "002_b", "002_b.py"):
        assert run_seeds(engine, seeds, name).seeds == ("002_b",)
    assert rows(database).count("002_b") == 4
    assert "No seed is called 'nowhere'" in str(run_seeds(engine, seeds, "nowhere").error)


def test_a_seed_that_fails_is_undone_and_those_before_it_stay(
    seeds: Path,
    engine: sa.Engine,
    database: Database,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seed(seeds, "001_a")
    seed(seeds, "002_b", "    1 / 0")
    seed(seeds, "003_c")
    result = run_seeds(engine, seeds)
    assert (result.success, result.seeds) == (False, ("001_a",))
    assert "Seed 002_b failed: ZeroDivisionError" in str(result.error)
    assert rows(database) == ["001_a"]
    monkeypatch.setattr("my_service.cli.seed.SEEDS", seeds)
    code, out, err = command("seed run")
    assert (code, out) == (1, "Ran 1 seed\n001_a\n")
    assert "Seed 002_b failed" in err


def test_seeds_without_a_database_give_an_actionable_error(seeds: Path, nowhere: sa.Engine) -> None:
    seed(seeds, "001_a")
    result = run_seeds(nowhere, seeds)
    assert result.error is not None and result.error.code in ("database-away", "database-refuses")
    assert result.seeds == ()


@pytest.mark.parametrize("text", ["def run(session)", "def other(session): pass", "import nowhere"])
def test_all_seeds_are_validated_before_the_first_runs(
    seeds: Path, engine: sa.Engine, database: Database, text: str
) -> None:
    seed(seeds, "001_a")
    (seeds / "002_b.py").write_text(text)
    assert "Seed 002_b.py does not load" in str(run_seeds(engine, seeds).error)
    assert rows(database) == []


def test_production_refuses_seeds_without_force(
    seeds: Path,
    command: Command,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seed(seeds, "001_a")
    monkeypatch.setattr("my_service.cli.seed.SEEDS", seeds)
    assert command("seed run") == (0, "Ran 1 seed\n001_a\n", "")
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("DB_SSL_MODE", "disable")
    url = sa.make_url(database.address)
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
    code, out, err = command("seed run")
    assert (code, out) == (1, "")
    assert "seed run --force" in err
    assert rows(database) == ["001_a"]
    assert command("seed run --force")[0] == 0
    assert rows(database) == ["001_a", "001_a"]
