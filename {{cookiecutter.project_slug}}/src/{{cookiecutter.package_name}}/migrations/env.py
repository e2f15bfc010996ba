"""Lets plain Alembic work on this project: ``alembic upgrade head``, ``alembic check``, …

It leaves the same tables behind as the engine does, history included.
"""

from {{ cookiecutter.package_name }}.database.backend import connect
from {{ cookiecutter.package_name }}.migrate.plain_alembic import run_alembic
from {{ cookiecutter.package_name }}.migrations import config_for
from {{ cookiecutter.package_name }}.settings import load_settings

settings = load_settings(serving=False)
run_alembic(
    lambda: connect(settings, migrating=True),
    config_for(settings),
    asks_before_undoing=settings.in_production,
)
