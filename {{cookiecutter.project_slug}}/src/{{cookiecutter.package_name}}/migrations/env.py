"""Lets plain Alembic work on this project: ``alembic upgrade head``, ``alembic check``, …

It leaves the same tables behind as the engine does, history included.
"""

from {{ cookiecutter.package_name }}.database.backend import connect
from {{ cookiecutter.package_name }}.migrate.env import run_alembic
from {{ cookiecutter.package_name }}.migrations import config
from {{ cookiecutter.package_name }}.settings import load_settings

run_alembic(connect(load_settings()), config)
