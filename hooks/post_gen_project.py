"""Keep the files that the answers need, and print the next steps.

The template contains the files of every answer. This hook

1. removes the files of features that are not needed,
2. removes the mark of its feature from each variant that stays,
3. prints the next commands.

A second run gives the same result. It needs no network, no git and no clock.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

Answers = dict[str, str]

# Feature -> the paths that only this feature has; <package> stands for the package's name. A folder
# stands for all its files. Files that are not listed here are in every service.
#
# Variants of one file are in the same folder, marked with their feature before the extension:
# conftest.sqlite.py and conftest.postgresql.py. The one that stays loses its mark: conftest.py.
MANIFEST: dict[str, tuple[str, ...]] = {
    "sqlite": (
        "src/<package>/database/sqlite.py",
        "src/<package>/migrate/backends/sqlite/",
        "src/<package>/migrate/offline/sqlite.py",
        "src/<package>/migrations/schema.sqlite.sqlite.txt",
        "src/<package>/settings/sqlite.py",
        "src/<package>/settings/sqlite_errors.py",
        "tests/database.sqlite.py",
    ),
    "postgresql": (
        "src/<package>/database/postgresql.py",
        "src/<package>/database/embedded.py",
        "src/<package>/migrate/backends/postgresql/",
        "src/<package>/migrate/offline/postgresql.py",
        "src/<package>/migrations/schema.postgresql.postgresql.txt",
        "src/<package>/database/embedded_errors.py",
        "src/<package>/settings/postgresql.py",
        "src/<package>/settings/postgresql_errors.py",
        "tests/database.postgresql.py",
        "tests/test_postgresql.py",
        "compose.yaml",
    ),
    "multi-tenant": (
        "src/<package>/cli/backup/run.multi-tenant.py",
        "src/<package>/cli/migrate/run.multi-tenant.py",
        "src/<package>/cli/seed.multi-tenant.py",
        "src/<package>/cli/tenant.py",
        "src/<package>/cli/tenant_errors.py",
        "src/<package>/cli/tenant_progress.py",
        "src/<package>/database/tenant_errors.py",
        "src/<package>/database/tenant_guard.py",
        "src/<package>/database/tenant_session.py",
        "src/<package>/migrate/__init__.multi-tenant.py",
        "src/<package>/migrate/tenants/",
        "src/<package>/migrations/schema.postgresql.multi-tenant.txt",
        "src/<package>/migrations/schema.tenants.multi-tenant.txt",
        "src/<package>/migrations/target.multi-tenant.py",
        "src/<package>/migrations/versions/002_create_tenants_table.py",
        "src/<package>/operations/tenants.py",
        "src/<package>/routes.multi-tenant.py",
        "src/<package>/settings/drift.multi-tenant.py",
        "src/<package>/settings/tenant_errors.py",
        "src/<package>/settings/tenants.py",
        "src/<package>/tenants/",
        "src/<package>/web/request_database.multi-tenant.py",
        "src/<package>/web/request_tenant.py",
        "src/<package>/web/tenant_errors.py",
        "tests/schema.multi-tenant.py",
        "tests/test_operations_tenants.py",
        "tests/test_tenants.py",
    ),
    "MIT": ("LICENSE.MIT",),
    "Apache-2.0": ("LICENSE.Apache-2.0",),
    "BSD-3-Clause": ("LICENSE.BSD-3-Clause",),
    "Proprietary": ("LICENSE.Proprietary",),
}

# Answer -> its features. If two of them mark a variant of the same file, the variant
# of the later one stays. A license is a feature of the same name.
DATABASES: dict[str, tuple[str, ...]] = {
    "sqlite": ("sqlite",),
    "postgresql": ("postgresql",),
    "postgresql-multi-tenant": ("postgresql", "multi-tenant"),
}


def main() -> None:
    """Run every step, in order, in the generated project's folder."""
    answers = read_answers()
    remove_unwanted_files(answers)
    unmark_variants(answers)
    print_next_commands(answers)


def read_answers() -> Answers:
    """Read the answers as data. Cookiecutter inserts them as JSON without a single quote (')."""
    answers: Answers = json.loads(r'''{{ cookiecutter | tojson }}''')  # fmt: skip
    return answers


def features(answers: Answers) -> tuple[str, ...]:
    """The features of the answers, the most specific last."""
    return (*DATABASES[answers["database"]], answers["license"])


def paths(feature: str, answers: Answers) -> Iterator[Path]:
    """Every path of a feature, in this project."""
    for path in MANIFEST[feature]:
        yield Path(path.replace("<package>", answers["package_name"]))


# -- 1. Remove the files of features that are not needed -----------------------------------------


def remove_unwanted_files(answers: Answers) -> None:
    """Remove files that only other answers need, and folders that become empty."""
    for feature in MANIFEST:
        if feature not in features(answers):
            for path in paths(feature, answers):
                remove(path)
                remove_empty_parents(path)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it exists."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_empty_parents(path: Path) -> None:
    """Remove the empty folders above a path."""
    for folder in path.parents:
        if folder == Path() or not folder.is_dir() or any(folder.iterdir()):
            return
        folder.rmdir()


# -- 2. Remove the mark of its feature from each variant that stays -------------------------------


def unmark_variants(answers: Answers) -> None:
    """Rename each variant to its name in the service."""
    for feature in features(answers):
        for path in paths(feature, answers):
            if path.is_file():
                path.replace(path.with_name(unmarked(path.name, feature)))


def unmarked(name: str, feature: str) -> str:
    """Drop the mark: conftest.sqlite.py -> conftest.py, LICENSE.MIT -> LICENSE."""
    return re.sub(rf"\.{re.escape(feature)}(?=(\.[^.]+)?$)", "", name)


# -- 3. Print the next commands -----------------------------------------------------------------


def print_next_commands(answers: Answers) -> None:
    """Print the commands to start and to test the service, with make and without."""
    if only_compared(answers):
        return
    folder = shlex.quote(folder_from_where_you_are())
    slug = answers["project_slug"]
    print(
        f"{slug} is ready. Next:\n\n"
        f"  cd {folder}\n"
        "  make dev     # installs, migrates and serves on http://127.0.0.1:8000\n"
        "  make test\n\n"
        "Without make:\n\n"
        f"  uv run {slug} serve\n"
        "  uv run pytest\n"
    )


def only_compared(answers: Answers) -> bool:
    """Whether cruft makes this project only for a comparison, as in update and diff.

    cruft passes its commit. It makes projects for comparison in a temporary folder.
    """
    if "_commit" not in answers:
        return False
    import tempfile  # slow to import

    temporary = Path(tempfile.gettempdir()).resolve()
    return Path.cwd().resolve().parent.parent == temporary


def folder_from_where_you_are() -> str:
    """The project's folder: only its name if it is in the current folder, else its whole path."""
    project = Path.cwd()
    here = os.environ.get("PWD", "")
    return project.name if here and Path(here).resolve() == project.parent else str(project)


if __name__ == "__main__":
    main()
