"""Generated files match the code. ``make update`` rewrites them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools import record_demo, update
from tools.services import DATABASES, TEMPLATE


@pytest.mark.parametrize("database", DATABASES)
def test_every_generated_file_is_up_to_date(database: str) -> None:
    for path, text in update.generated(database).items():
        name = path.relative_to(TEMPLATE)
        assert path.exists() and update.read(path) == text, f"{name} is old: run make update"


def test_page_parts_exist_exactly_for_the_known_databases() -> None:
    for part in ("er", "errors", "http_errors", "settings", "tables"):
        there = {path.name for path in update.PAGE_PARTS.glob(f"{part}.*.md")}
        assert there == {f"{part}.{database}.md" for database in DATABASES}
    assert {path.stem for path in update.EXPECTED_FILES.iterdir()} == set(DATABASES)


def test_update_writes_only_files_that_differ(tmp_path: Path) -> None:
    same, old, new = (tmp_path / name for name in ("same", "old", "new"))
    same.write_text("a\n")
    old.write_text("b\n")
    before = same.stat().st_mtime_ns
    assert update.update({same: "a\n", old: "c\n", new: "d\n"}) == [old, new]
    assert [path.read_text() for path in (same, old, new)] == ["a\n", "c\n", "d\n"]
    assert same.stat().st_mtime_ns == before


def test_a_recording_that_differs_only_in_numbers_counts_as_equal() -> None:
    picture = update.read(record_demo.PICTURE)
    assert "clip-path" in picture
    later = re.sub(r"\d\d:\d\d:\d\d", "1:22:33", picture)
    assert later != picture
    assert record_demo.shows_the_same(picture, later)
    assert not record_demo.shows_the_same(picture, picture.replace("migrat", "emigrat"))
