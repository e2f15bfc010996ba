"""The database this service was made for. The rest of the service names none."""

from .{{ cookiecutter.__backend }} import NEW_ID, DatabaseSettings, UuidType, connect, insert

__all__ = ["NEW_ID", "DatabaseSettings", "UuidType", "connect", "insert"]
