"""Where the SQLite database is."""

from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, SecretStr
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from ..errors import ActionableError
from . import sqlite_errors as errors
from .pool import PoolSettings

DATABASE = "{{ cookiecutter.package_name }}.db"
DEFAULT_URL = f"sqlite:///data/{DATABASE}"


class DatabaseSettings(PoolSettings):
    """The database file.

    Attributes:
        backs_up_in_production: whether production makes a backup before migrations unless
            MIGRATION_BACKUP says otherwise. One file is quickly copied.
    """

    backs_up_in_production: ClassVar[bool] = True

    database_url: SecretStr | None = Field(
        None,
        description=f"Database. Development uses {DEFAULT_URL} when this is empty; "
        "production requires it.",
    )
    test_database_url: SecretStr | None = Field(
        None, description="Database when ENVIRONMENT=test. In memory when this is empty."
    )

    @property
    def database_address(self) -> URL:
        """The address that the environment asks for.

        Raises:
            ActionableError: it is no SQLite address.
        """
        testing = self.environment == "test"
        address = self.test_database_url if testing else self.database_url
        return _parse(address or SecretStr("sqlite://" if testing else DEFAULT_URL))

    @property
    def default_backup_directory(self) -> Path:
        """Where backups go unless BACKUP_DIRECTORY says otherwise: beside the database.

        Raises:
            ActionableError: address-not-sqlite.
        """
        url = self.database_address
        folder = Path("data") if in_memory(url) else Path(str(url.database)).parent
        return folder / "backups"

    @property
    def for_linting(self) -> Self:
        """The same settings: linting happens in memory."""
        return self

    def problems(self, *, serving: bool = True) -> list[ActionableError]:
        """Adds: no file that would outlive the process.

        Raises:
            ActionableError: DATABASE_URL is not an address of this database.
        """
        found = super().problems(serving=serving)
        if self.database_url is None or in_memory(_parse(self.database_url)):
            found.append(errors.database_not_kept(DATABASE))
        return found


def in_memory(url: URL) -> bool:
    """Whether the database ends with its connection."""
    return url.database in (None, "", ":memory:")


def _parse(address: SecretStr) -> URL:
    try:
        url = make_url(address.get_secret_value())
    except ArgumentError:
        url = None
    if url is None or url.get_backend_name() != "sqlite":
        raise errors.address_not_sqlite(DEFAULT_URL)
    return url
