"""PostgreSQL through psycopg 3."""

from typing import Any, Literal

from pydantic import Field, SecretStr
from sqlalchemy import URL, Engine, QueuePool, Uuid, create_engine, make_url, text
from sqlalchemy.dialects.postgresql import insert as insert
from sqlalchemy.exc import ArgumentError

from ..errors import Problem
from .settings import CommonDatabaseSettings

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
DRIVER = "postgresql+psycopg"
CONNECT_TIMEOUT_SECONDS = 10
GUESSABLE_PASSWORDS = {"", "admin", "changeme", "password", "postgres", "root", "secret", "test"}

UuidType = Uuid

# The database makes the UUID.
NEW_ID: dict[str, Any] = {"server_default": text("gen_random_uuid()")}


class DatabaseSettings(CommonDatabaseSettings):
    """Where the database is and how many connections to keep."""

    database_url: SecretStr | None = Field(
        None,
        description="The database, whole: postgresql+psycopg://user:password@host:5432/name. "
        "Development starts an embedded server when neither this nor DB_HOST is set.",
    )
    test_database_url: SecretStr | None = Field(
        None, description="The server when ENVIRONMENT=test. An embedded one when this is empty."
    )
    db_host: str | None = Field(None, description="The database in parts: its host.")
    db_port: int = Field(5432, ge=1, le=65535, description="Its port.")
    db_user: str = Field("postgres", description="The user.")
    db_password: SecretStr = Field(SecretStr(""), description="The user's password.")
    db_name: str = Field("{{ cookiecutter.package_name }}", description="The database's name.")
    db_ssl_mode: SslMode | None = Field(
        None,
        description="disable, allow, prefer, require, verify-ca or verify-full. "
        "Default: require in production, prefer elsewhere.",
    )

    def database_problem(self) -> Problem | None:
        """What makes this database unfit for production, if anything does."""
        url = _parse(self.database_url) or _from_parts(self)
        if url is None:
            return Problem(
                "Neither DATABASE_URL nor DB_HOST is set.",
                "In production the service would have nowhere to keep its data.",
                f"Set DATABASE_URL={DRIVER}://user:password@host:5432/name",
            )
        password = str(url.password or "").lower()
        # Over a socket the operating system vouches for the user.
        if url.host and (password in GUESSABLE_PASSWORDS or password == url.username):
            return Problem(
                f"The password of database user {url.username!r} is empty or a default.",
                "Whoever reaches the database's port owns its data.",
                "Give the user a random password and set it in DATABASE_URL or DB_PASSWORD.",
            )
        return None


def connect(settings: DatabaseSettings) -> Engine:
    """An engine for the database that the settings name. Opens no connection yet.

    Outside production, an embedded server starts when they name none.

    Raises:
        Problem: DATABASE_URL is no PostgreSQL address.
    """
    return create_engine(
        _url(settings),
        poolclass=QueuePool,
        pool_size=settings.db_pool_min,
        max_overflow=settings.db_pool_max - settings.db_pool_min,
        pool_pre_ping=True,
        # Prepared statements do not survive PgBouncer's transaction mode.
        connect_args={"prepare_threshold": None, "connect_timeout": CONNECT_TIMEOUT_SECONDS},
    )


def _url(settings: DatabaseSettings) -> URL:
    if settings.environment == "test":
        url = _parse(settings.test_database_url)
    else:
        url = _parse(settings.database_url) or _from_parts(settings)
    if url is None:
        from .embedded import start

        return start()
    default = "require" if settings.in_production else "prefer"
    if settings.db_ssl_mode is None and "sslmode" in url.query:
        return url
    return url.update_query_dict({"sslmode": settings.db_ssl_mode or default})


def _from_parts(settings: DatabaseSettings) -> URL | None:
    if settings.db_host is None:
        return None
    return URL.create(
        DRIVER,
        username=settings.db_user,
        password=settings.db_password.get_secret_value() or None,
        host=settings.db_host,
        port=settings.db_port,
        database=settings.db_name,
    )


def _parse(address: SecretStr | None) -> URL | None:
    if address is None:
        return None
    try:
        url = make_url(address.get_secret_value())
    except ArgumentError:
        url = None
    if url is None or url.drivername not in {"postgres", "postgresql", DRIVER}:
        raise Problem(
            "The database's address is not one of PostgreSQL.",
            "The service cannot reach its database.",
            f"Write DATABASE_URL as {DRIVER}://user:password@host:5432/name",
        )
    return url.set(drivername=DRIVER)
