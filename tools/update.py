"""Rewrite every generated file: ``make update``.

These are the parts of the service's pages that are derived from its code, the lists of files of
each answer, and the recording of a terminal. Tests compare the first two with the code.
"""

from __future__ import annotations

import tempfile
from contextlib import nullcontext
from pathlib import Path

from tools import record_demo, service_map
from tools.services import (
    DATABASES,
    SERVICE,
    TEMPLATE,
    bake,
    environment,
    files,
    nothing_printed,
    postgresql,
    sqlalchemy_address,
)

PAGE_PARTS = TEMPLATE / "templates"
MIGRATIONS = SERVICE / "src" / "{{cookiecutter.package_name}}" / "migrations"
EXPECTED_FILES = TEMPLATE / "tests" / "template" / "expected_files"


def main() -> None:
    """Write files that differ, and print their names."""
    written = [path for database in DATABASES for path in update(generated(database))]
    picture = record_demo.record()
    if not record_demo.shows_the_same(picture, read(record_demo.PICTURE)):
        written += update({record_demo.PICTURE: picture})
    for path in written:
        print(f"Wrote {path.relative_to(TEMPLATE)}")
    if not written:
        print("Already up to date")


def generated(database: str) -> dict[Path, str]:
    """Every generated file of the service with this database, with its content."""
    with tempfile.TemporaryDirectory() as folder, nothing_printed():
        project = bake(Path(folder), database=database)
        written = {
            EXPECTED_FILES / f"{database}.txt": "".join(f"{name}\n" for name in names(project)),
            **page_parts(project, database),
            **schema_files(project, database),
        }
        if database == DATABASES[-1]:
            written[service_map.MAP] = service_map.with_table(read(service_map.MAP), project)
        return written


def names(project: Path) -> list[str]:
    """The files of a new service, for the lists."""
    return [path.as_posix().replace("my_service", "<package>") for path in files(project)]


def page_parts(project: Path, database: str) -> dict[Path, str]:
    """The parts of the service's pages, written by its own code."""
    with tempfile.TemporaryDirectory() as folder:
        script = str(TEMPLATE / "tools" / "page_parts.py")
        environment().succeed(project, script, "my_service", "my-service", database, folder)
        return {PAGE_PARTS / path.name: read(path) for path in sorted(Path(folder).iterdir())}


def schema_files(project: Path, database: str) -> dict[Path, str]:
    """The schemas that the service's migrations make, marked with their feature."""
    feature = database.removeprefix("postgresql-")
    script = str(TEMPLATE / "tools" / "schema_files.py")
    server = nullcontext("sqlite://") if database == "sqlite" else postgresql()
    with tempfile.TemporaryDirectory() as folder, server as address:
        environment().succeed(project, script, "my_service", sqlalchemy_address(address), folder)
        return {
            MIGRATIONS / f"{path.stem}.{feature}.txt": read(path)
            for path in sorted(Path(folder).iterdir())
        }


def update(contents: dict[Path, str]) -> list[Path]:
    """Write the files whose content differs; return their paths."""
    changed = [path for path, text in contents.items() if not path.exists() or read(path) != text]
    for path in changed:
        path.write_text(contents[path], encoding="utf-8", newline="\n")
    return changed


def read(path: Path) -> str:
    """A file's text."""
    return path.read_text(encoding="utf-8")


if __name__ == "__main__":
    main()
