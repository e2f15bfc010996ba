"""The service's command line on another folder of migrations: a process to race and kill."""

import sys
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa
from alembic.config import main as alembic_main
from my_service import cli, migrations


def migrate(folder: Path, *words: str) -> None:
    """Run ``migrate <words>`` on a folder."""
    migrations.config = replace(migrations.config, directory=folder, load_metadata=sa.MetaData)
    sys.argv = ["service", "migrate", *words]
    cli.main()


def backup(folder: Path, *words: str) -> None:
    """Run ``backup <words>`` for a folder."""
    migrations.config = replace(migrations.config, directory=folder, load_metadata=sa.MetaData)
    sys.argv = ["service", "backup", *words]
    cli.main()


def alembic(*words: str) -> None:
    """Run ``alembic <words>``, with the settings in the working directory."""
    sys.argv = ["alembic", *words]
    alembic_main()


if __name__ == "__main__":
    migrate(Path(sys.argv[1]), *sys.argv[2:])
