"""The service's command line on a folder of migrations of its own: a process to race and kill."""

import sys
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa
from my_service import cli, migrations

migrations.config = replace(
    migrations.config, directory=Path(sys.argv.pop(1)), load_metadata=sa.MetaData
)
sys.argv.insert(1, "migrate")
cli.main()
