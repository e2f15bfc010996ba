"""The settings of the database that this service was made for. The other parts name none."""

from .{{ cookiecutter.__database_settings }} import DatabaseSettings

__all__ = ["DatabaseSettings"]
