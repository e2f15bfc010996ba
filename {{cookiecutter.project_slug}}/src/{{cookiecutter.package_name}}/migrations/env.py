"""Makes plain Alembic work in this project: ``alembic upgrade head``, ``alembic check``, …

It writes the same tables as the engine, history included.
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
