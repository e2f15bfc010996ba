"""The database of this service. No other module of the service names a database."""

from .{{ cookiecutter.__backend }} import (
    LOOK_UP,
    NEW_ID,
    UuidType,
    connect,
    for_migrations,
    insert,
    is_away,
)

__all__ = ["LOOK_UP", "NEW_ID", "UuidType", "connect", "for_migrations", "insert", "is_away"]
