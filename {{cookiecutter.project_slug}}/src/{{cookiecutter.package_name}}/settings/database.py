"""The settings of this service's database. No other module of the settings names a database."""

from .{{ cookiecutter.__database_settings }} import DatabaseSettings

__all__ = ["DatabaseSettings"]
