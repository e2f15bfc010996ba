"""Settings of the PostgreSQL database."""

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, SecretStr
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from ..errors import ActionableError
from . import postgresql_errors as errors
from .pool import PoolSettings

DRIVER = "postgresql+psycopg"
GUESSABLE_PASSWORDS = {"", "admin", "changeme", "password", "postgres", "root", "secret", "test"}
SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


class DatabaseSettings(PoolSettings):
    """The server, the database and the user.

    Attributes:
        default_search_path: the connections' search path, unless a transaction sets another one.
            None leaves it to the server.
        backs_up_in_production: whether production makes a backup before migrations if
            MIGRATION_BACKUP is not set. A backup of a large database takes long, so the default is
            no.
        default_backup_directory: the folder for backups if BACKUP_DIRECTORY is not set.
    """

    default_search_path: ClassVar[str | None] = None
    backs_up_in_production: ClassVar[bool] = False
    default_backup_directory: ClassVar[Path] = Path("data/backups")

    database_url: SecretStr | None = Field(
        None,
        description="The database's URL: postgresql+psycopg://user:password@host:5432/name. "
        "Production requires this or DB_HOST; if neither is set, development starts an embedded "
        "server.",
    )
    test_database_url: SecretStr | None = Field(
        None,
        description="Server on which tests may create databases (ENVIRONMENT=test). "
        "If empty, tests start an embedded server.",
    )
    migration_database_url: SecretStr | None = Field(
        None,
        description="URL of the same database for migrations, without a pooler. "
        "Default: DATABASE_URL.",
    )
    lint_database_url: SecretStr | None = Field(
        None,
        description="Server on which linting creates a scratch database and drops it; it touches "
        "no other database there. Default: the server that is migrated.",
    )
    db_host: str | None = Field(
        None, description="The database's host, if there is no DATABASE_URL."
    )
    db_port: int = Field(5432, ge=1, le=65535, description="The database's port.")
    db_user: str = Field("postgres", description="The database user.")
    db_password: SecretStr = Field(SecretStr(""), description="The database user's password.")
    db_name: str = Field("{{ cookiecutter.package_name }}", description="The database's name.")
    db_ssl_mode: SslMode | None = Field(
        None,
        description="disable, allow, prefer, require, verify-ca or verify-full. "
        "Default: require in production, otherwise prefer.",
    )

    @property
    def database_address(self) -> URL | None:
        """The configured URL; None means the embedded server.

        Raises:
            ActionableError: it is not a PostgreSQL URL.
        """
        testing = self.environment == "test"
        return self._encrypted(_parse(self.test_database_url) if testing else self._service_address)

    @property
    def migration_address(self) -> URL | None:
        """The URL for migrations: MIGRATION_DATABASE_URL or the service's own.

        Raises:
            ActionableError: it is not a PostgreSQL URL.
        """
        return self._encrypted(_parse(self.migration_database_url)) or self.database_address

    @property
    def for_linting(self) -> Self:
        """The same settings, with LINT_DATABASE_URL as the server to migrate."""
        address = self.lint_database_url or self.migration_database_url
        return self.model_copy(update={"migration_database_url": address})

    def _encrypted(self, url: URL | None) -> URL | None:
        if url is None or (self.db_ssl_mode is None and "sslmode" in url.query):
            return url
        default = "require" if self.in_production else "prefer"
        return url.update_query_dict({"sslmode": self.db_ssl_mode or default})

    @property
    def _service_address(self) -> URL | None:
        return _parse(self.database_url) or self._address_of_parts

    @property
    def _address_of_parts(self) -> URL | None:
        if self.db_host is None:
            return None
        return URL.create(
            DRIVER,
            username=self.db_user,
            password=self.db_password.get_secret_value() or None,
            host=self.db_host,
            port=self.db_port,
            database=self.db_name,
        )

    def problems(self, *, serving: bool = True) -> list[ActionableError]:
        """Adds: no database, a guessable password.

        Raises:
            ActionableError: DATABASE_URL is not a URL of this database.
        """
        found = super().problems(serving=serving)
        url = self._service_address
        if url is None:
            return [*found, errors.database_not_set(DRIVER)]
        password = str(url.password or "").lower()
        # On a socket the operating system authenticates the user.
        if url.host and (password in GUESSABLE_PASSWORDS or password == url.username):
            found.append(errors.database_password_guessable(url.username))
        return found


def _parse(address: SecretStr | None) -> URL | None:
    if address is None:
        return None
    try:
        url = make_url(address.get_secret_value())
    except ArgumentError:
        url = None
    if url is None or url.drivername not in {"postgres", "postgresql", DRIVER}:
        raise errors.address_not_postgresql(DRIVER)
    return url.set(drivername=DRIVER)
