"""The database this service was made for. The rest of the service names none."""

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
