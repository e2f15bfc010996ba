"""Settings of the SQLite database."""

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
        backs_up_in_production: whether production makes a backup before migrations if
            MIGRATION_BACKUP is not set. It is quick: the database is one file.
    """

    backs_up_in_production: ClassVar[bool] = True

    database_url: SecretStr | None = Field(
        None,
        description=f"The database's URL. Production requires it; development uses {DEFAULT_URL} "
        "if it is empty.",
    )
    test_database_url: SecretStr | None = Field(
        None, description="Database for tests (ENVIRONMENT=test). Default: in memory."
    )

    @property
    def database_address(self) -> URL:
        """The configured URL.

        Raises:
            ActionableError: it is not a SQLite URL.
        """
        testing = self.environment == "test"
        address = self.test_database_url if testing else self.database_url
        return _parse(address or SecretStr("sqlite://" if testing else DEFAULT_URL))

    @property
    def default_backup_directory(self) -> Path:
        """The folder for backups if BACKUP_DIRECTORY is not set: next to the database.

        Raises:
            ActionableError: address-not-sqlite.
        """
        url = self.database_address
        folder = Path("data") if in_memory(url) else Path(str(url.database)).parent
        return folder / "backups"

    @property
    def for_linting(self) -> Self:
        """The same settings: linting uses a database in memory."""
        return self

    def problems(self, *, serving: bool = True) -> list[ActionableError]:
        """Adds: a database that does not outlive the process.

        Raises:
            ActionableError: DATABASE_URL is not a URL of this database.
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
