"""Saves a PostgreSQL database by ``pg_dump``, and replaces it by a restored one."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Self

import psycopg
from psycopg import sql
from sqlalchemy import Connection, Engine, NullPool, create_engine, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from ..common import driver_connection
from . import backup_errors as errors
from .client import DUMP, RESTORE, find_client
from .connection import connect_apart, explain, reading

MAINTENANCE = ("postgres", "template1")  # from one of them the others are made and renamed
NAME_BYTES = 63
KEPT, NEW = "before", "restoring"
KEPT_COMMENT = "Kept by backup restore. It was: "


class Dump:
    """One backup: files by ``pg_dump -Fc``, all from the same moment.

    A transaction stays open inside the block; each ``pg_dump`` uses its snapshot.

    Args:
        client: ``pg_dump``; None looks for one.

    Raises:
        ActionableError: backup-no-client, backup-client-missing, backup-client-too-old,
            database-away, database-refuses.
    """

    SUFFIX = ".dump"

    def __init__(self, engine: Engine, client: Path | None = None) -> None:
        self._engine = engine
        self._session: Connection | None = None
        with reading(engine) as connection:
            self._client = find_client(client, server_major(connection))
        self._snapshot = ""
        self._roles_apart: frozenset[str] = frozenset()

    def __enter__(self) -> Self:
        self._session = connect_apart(self._engine)
        self._session.execution_options(isolation_level="REPEATABLE READ")
        # The transaction stays idle while the files are written.
        self._session.execute(NO_TIMEOUTS)
        self._snapshot = str(self._session.scalar(select(func.pg_export_snapshot())))
        self._roles_apart = frozenset(self._session.scalars(_ROLES_APART))
        return self

    def __exit__(self, *_: object) -> None:
        if self._session is not None:
            with suppress(SQLAlchemyError):
                self._session.rollback()
            self._session.invalidate()
            self._session.close()

    def size(self) -> int:
        """The size of the tables in bytes, without indexes: a compressed dump is rarely larger."""
        with self.connection() as connection:
            return int(connection.scalar(_SIZE) or 0)

    def write(self, path: Path, schemas: Sequence[str] = (), without: Sequence[str] = ()) -> None:
        """Write a file.

        Args:
            schemas: the schemas to include; everything if empty.
            without: patterns of schemas to leave out.

        Raises:
            ActionableError: backup-client-failed.
        """
        # Schemas that restores have kept do not belong to the service.
        left_out = [*without, f"{KEPT}_????????_??????_*"]
        chosen = [f'--schema="{schema}"' for schema in schemas]
        chosen += [f"--exclude-schema={pattern}" for pattern in left_out]
        snapshot = f"--snapshot={self._snapshot}"
        arguments = ["--format=custom", f"--file={path}", snapshot, *chosen]
        if len(schemas) == 1 and schemas[0] in self._roles_apart:
            arguments.append(f"--role={schemas[0]}")
        self._client.run(DUMP, self._engine, arguments)

    @contextmanager
    def connection(self, path: Path | None = None) -> Iterator[Connection]:
        """The connection with the snapshot of the files. ``path`` is not used here."""
        assert self._session is not None
        with self._session.begin_nested() as savepoint:
            yield self._session
            savepoint.rollback()


def role_apart(connection: Connection, schema: str | None) -> str | None:
    """The role with this schema's name, if this session may switch to it and lacks its rights."""
    return schema if schema in connection.scalars(_ROLES_APART).all() else None


# Roles of tenants: each has the name of its schema.
_ROLES_APART = text(
    "SELECT rolname FROM pg_roles"
    " WHERE pg_has_role(oid, 'MEMBER') AND NOT pg_has_role(oid, 'USAGE')"
)
NO_TIMEOUTS = text(
    "SELECT set_config(name, '0', true) FROM pg_settings WHERE name IN"
    " ('idle_in_transaction_session_timeout', 'transaction_timeout', 'statement_timeout')"
)
_SIZE = text(
    "SELECT sum(pg_table_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
)


def server_major(connection: Connection) -> int:
    """The major version of the server."""
    return int(driver_connection(connection).info.server_version) // 10_000


def current_schema(connection: Connection) -> str:
    """The schema of the service's tables."""
    return str(connection.scalar(select(func.current_schema())))


def needs(connection: Connection) -> dict[str, Any]:
    """The requirements of a new database before the files are loaded.

    The roles that own something, except superusers; and whether the schema public is the original
    one. A schema that was created again lacks privileges that the original has.
    """
    return {
        "roles": list(connection.scalars(_ROLES)),
        "first_public": bool(connection.scalar(_FIRST_PUBLIC)),
    }


_FIRST_PUBLIC = text(
    "SELECT count(*) FROM pg_init_privs WHERE classoid = 'pg_namespace'::regclass"
    " AND objoid = to_regnamespace('public')"
)
_ROLES = text(
    "SELECT DISTINCT r.rolname FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid"
    " WHERE d.refclassid = 'pg_authid'::regclass AND NOT r.rolsuper AND d.dbid ="
    " (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1"
)


def live_instances(connection: Connection) -> int:
    """The number of instances of the service with a heartbeat within the last minute.

    The rows of the others are deleted: an instance that wakes up must register again, which waits.
    """
    # The first registration of an instance creates the table. An older database has none; then the
    # swap detects connections.
    if connection.scalar(text("SELECT to_regclass('service_instances')")) is None:
        return 0
    connection.execute(_REMOVE_GONE)
    return int(connection.scalar(_LIVE) or 0)


_REMOVE_GONE = text("DELETE FROM service_instances WHERE beat_at <= now() - interval '60 seconds'")
_LIVE = text("SELECT count(*) FROM service_instances")


class Restore:
    """A new database on the same server, and the swap.

    Args:
        engine: the database to replace. It need not exist.
        client: ``pg_dump``; None looks for one.
        when: start of the restore, for the name of the kept database.

    Raises:
        ActionableError: as for :class:`Dump`; backup-on-citus.
    """

    def __init__(self, engine: Engine, client: Path | None, when: datetime) -> None:
        self._engine = engine
        self._name = str(engine.url.database)
        self._new = named(NEW, self._name)
        self._kept = named(f"{KEPT}_{when:%Y%m%d_%H%M%S_%f}", self._name)
        maintenance = next(database for database in MAINTENANCE if database != self._name)
        self._server = create_engine(
            engine.url.set(database=maintenance), poolclass=NullPool, isolation_level="AUTOCOMMIT"
        )
        self._fresh = create_engine(engine.url.set(database=self._new), poolclass=NullPool)
        with reading(self._server) as connection:
            self._client = find_client(client, server_major(connection))
            self.exists = bool(connection.scalar(_EXISTS, {"name": self._name}))
        if self.exists:
            with reading(engine) as connection:
                if connection.scalar(_ON_CITUS):
                    raise errors.on_citus()

    def __enter__(self) -> Self:
        self._drop_new()  # from a killed restore
        return self

    def __exit__(self, *_: object) -> None:
        self._drop_new()

    def load(self, files: Sequence[tuple[BinaryIO, str | None]], needs: Mapping[str, Any]) -> None:
        """Create the new database and load the files into it, one after the other.

        Args:
            files: each with its schema, if it contains only one.
            needs: the result of :func:`needs`. Missing roles are created, without login.

        Raises:
            ActionableError: backup-not-restored, backup-client-failed.
        """
        with self._on_server() as server:
            known = server.execute("SELECT rolname FROM pg_roles").fetchall()
            for role in sorted({*needs["roles"]} - {name for (name,) in known}):
                server.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
            server.execute(self._create_statement(server))
        if not needs["first_public"]:
            with self._fresh.begin() as connection:
                connection.exec_driver_sql("DROP SCHEMA public")
                connection.exec_driver_sql("CREATE SCHEMA public")
        for file, schema in files:
            self._load_as_owner(file, schema)
        with self._fresh.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("ANALYZE"))

    def _load_as_owner(self, file: BinaryIO, schema: str | None) -> None:
        with self._fresh.connect() as connection:
            role = role_apart(connection, schema)
        arguments = ["--exit-on-error"]
        if role is not None:
            # Only in this database, and only until it becomes the service's.
            self._change(f'GRANT CREATE ON DATABASE "{self._new}" TO "{role}"')
            arguments += [f"--role={role}"]
        self._client.run(RESTORE, self._fresh, arguments, stdin=file)
        if role is not None:
            self._change(f'REVOKE CREATE ON DATABASE "{self._new}" FROM "{role}"')

    def _change(self, statement: str) -> None:
        with self._fresh.begin() as connection:
            connection.exec_driver_sql(statement)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection to the new database."""
        with self._fresh.connect() as connection:
            yield connection

    def swap(self) -> str | None:
        """Give the new database the name of the old one; return the old one's new name.

        Both names change in one transaction.

        Raises:
            ActionableError: backup-database-in-use, backup-not-restored.
        """
        self._engine.dispose()
        new, name, kept = map(sql.Identifier, (self._new, self._name, self._kept))
        rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
        with self._on_server() as server, server.transaction():
            if self.exists:
                for statement in self._settings(server):
                    server.execute(statement)
                server.execute(rename.format(name, kept))
                comment = sql.SQL("COMMENT ON DATABASE {} IS {}")
                server.execute(comment.format(kept, sql.Literal(KEPT_COMMENT + self._name)))
            server.execute(rename.format(new, name))
        return self._kept if self.exists else None

    def _create_statement(self, server: "psycopg.Connection") -> sql.Composed:
        """CREATE DATABASE, with the owner, encoding and locale of the old one, if it exists."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(
            sql.Identifier(self._new)
        )
        if not self.exists:
            return statement
        row = server.execute(_PROPERTIES, [self._name]).fetchone()
        assert row is not None
        owner, encoding, provider, collate, ctype, locale, limit = row
        statement += sql.SQL(
            " OWNER {} ENCODING {} LC_COLLATE {} LC_CTYPE {} CONNECTION LIMIT {}"
        ).format(
            sql.Identifier(owner),
            *map(sql.Literal, (encoding, collate, ctype, limit)),
        )
        if provider in ("i", "b") and locale:
            kind = sql.SQL("icu" if provider == "i" else "builtin")
            option = sql.SQL(" LOCALE_PROVIDER {} {} {}")
            statement += option.format(
                kind,
                sql.SQL("ICU_LOCALE" if provider == "i" else "BUILTIN_LOCALE"),
                sql.Literal(locale),
            )
        return statement

    def _settings(self, server: "psycopg.Connection") -> list[sql.SQL]:
        """Statements for the parts that no dump contains: grants and settings of roles."""
        rows = server.execute(_SETTINGS, {"name": self._name, "new": self._new}).fetchall()
        return [sql.SQL(statement) for statement, _ in rows]

    def _drop_new(self) -> None:
        with self._on_server() as server:
            drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            server.execute(drop.format(sql.Identifier(self._new)))

    @contextmanager
    def _on_server(self) -> "Iterator[psycopg.Connection]":
        try:
            with self._server.connect() as connection:
                yield driver_connection(connection)
        except psycopg.errors.ObjectInUse as error:
            raise errors.database_in_use(str(error.diag.message_detail)) from error
        except psycopg.Error as error:
            raise errors.not_restored(str(error).splitlines()[0]) from error
        except SQLAlchemyError as error:
            raise explain(self._server, error) from error


_EXISTS = text("SELECT count(*) FROM pg_database WHERE datname = :name")
_ON_CITUS = text("SELECT count(*) FROM pg_extension WHERE extname = 'citus'")
# PostgreSQL 15 and 17 renamed the column of the locale.
_PROPERTIES = """
    SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding),
           coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'), datcollate, datctype,
           coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'), datconnlimit
    FROM pg_database AS d WHERE datname = %s
"""
# A setting that is a list is stored with its quotes; others are stored without.
_SETTINGS = """
    SELECT format('REVOKE ALL ON DATABASE %%I FROM PUBLIC', %(new)s::text), 1 AS turn
    FROM pg_database AS d WHERE d.datname = %(name)s AND d.datacl IS NOT NULL
    UNION ALL
    SELECT CASE WHEN s.setrole = 0 THEN format('ALTER DATABASE %%I ', %(new)s::text)
           ELSE format('ALTER ROLE %%I IN DATABASE %%I ', r.rolname, %(new)s::text) END
           || format('SET %%I TO ', split_part(one, '=', 1))
           || CASE WHEN split_part(one, '=', 1) IN ('search_path', 'temp_tablespaces',
                   'session_preload_libraries', 'local_preload_libraries')
              THEN substr(one, strpos(one, '=') + 1)
              ELSE quote_literal(substr(one, strpos(one, '=') + 1)) END, 2
    FROM pg_db_role_setting AS s
    JOIN pg_database AS d ON d.oid = s.setdatabase AND d.datname = %(name)s
    LEFT JOIN pg_roles AS r ON r.oid = s.setrole
    CROSS JOIN unnest(s.setconfig) AS one
    UNION ALL
    SELECT format('GRANT %%s ON DATABASE %%I TO %%s%%s', a.privilege_type, %(new)s::text,
           CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(g.rolname) END,
           CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), 2
    FROM pg_database AS d CROSS JOIN aclexplode(d.datacl) AS a
    LEFT JOIN pg_roles AS g ON g.oid = a.grantee
    WHERE d.datname = %(name)s
    ORDER BY turn
"""


def named(prefix: str, name: str) -> str:
    """A name with a prefix, cut to PostgreSQL's maximum length."""
    return f"{prefix}_{name}".encode()[:NAME_BYTES].decode("utf-8", "ignore")


def kept(engine: Engine) -> list[str]:
    """The names of databases and schemas that restores have kept, oldest first."""
    with reading(engine) as connection:
        name = str(engine.url.database)
        return list(connection.scalars(_KEPT, {"comment": KEPT_COMMENT, "name": name}))


_KEPT = text(
    "SELECT datname FROM pg_database"
    " WHERE shobj_description(oid, 'pg_database') = :comment || :name"
    " UNION ALL SELECT nspname FROM pg_namespace"
    " WHERE obj_description(oid, 'pg_namespace') LIKE :comment || '%'"
    f" AND nspname LIKE '{KEPT}\\_%' ORDER BY 1"
)


def forget(engine: Engine, name: str) -> None:
    """Remove a database or a schema that a restore has kept.

    Raises:
        ActionableError: database-away, database-refuses.
    """
    quoted = engine.dialect.identifier_preparer.quote_identifier(name)
    try:
        with engine.begin() as connection:
            is_schema = connection.scalar(_BECOME_OWNER, {"name": name}) is not None
            if is_schema:
                connection.exec_driver_sql(f"DROP SCHEMA {quoted} CASCADE")
        if not is_schema:
            with engine.connect() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT")
                connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {quoted}")
    except SQLAlchemyError as error:
        raise explain(engine, error) from error


# A tenant's schema may belong to its own role, to which the service's login may switch.
_BECOME_OWNER = text(
    "SELECT set_config('role', CASE WHEN pg_has_role(nspowner, 'USAGE') THEN 'none'"
    " ELSE pg_get_userbyid(nspowner) END, true) FROM pg_namespace WHERE nspname = :name"
)
