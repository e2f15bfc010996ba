"""The database this service was made for. The rest of the service names none."""

from .{{ cookiecutter.__backend }} import NEW_ID, UuidType, connect, insert, is_away

__all__ = ["NEW_ID", "UuidType", "connect", "insert", "is_away"]
