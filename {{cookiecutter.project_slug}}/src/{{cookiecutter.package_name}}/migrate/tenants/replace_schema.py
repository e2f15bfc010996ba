"""Replaces a schema by a restored one, in one transaction.

``pg_restore`` cannot join a transaction, so it writes SQL, and the engine's own connection runs it.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import psycopg
from psycopg import sql
from sqlalchemy import Connection, Engine, text

from ..backends.common import driver_connection
from ..backends.postgresql import backup_errors as errors
from ..backends.postgresql.backup import KEPT, KEPT_COMMENT, NO_TIMEOUTS, named, server_major
from ..backends.postgresql.client import Client, find_client
from ..backends.postgresql.connection import connect_apart, reading
from .errors import schema_in_use

Raw = psycopg.Connection[tuple[object, ...]]

COPY, END_OF_COPY = re.compile(rb"COPY .* FROM stdin;\n"), b"\\.\n"
# psql's commands that prevent a dump from running other commands; both have the same key.
RESTRICT = re.compile(rb"^\\restrict (\w+)$", re.MULTILINE)
# Servers before 17 do not have this setting.
TRANSACTION_TIMEOUT = b"SET transaction_timeout = 0;\n"


def replace_schema(
    engine: Engine,
    client: Path | None,
    file: BinaryIO,
    schema: str,
    when: datetime,
    *,
    lock_timeout: float,
    prepare: Callable[[Connection], None],
    finish: Callable[[Connection], None],
) -> str | None:
    """Restore a schema from a file; return the name under which the old one is kept.

    Nobody sees a change before the commit; a failed or killed restore changes nothing. Statements
    that use a table of the old schema meanwhile wait, and then use the new one.

    Args:
        lock_timeout: seconds to wait for transactions that use the old one.
        prepare: called at the beginning of the transaction.
        finish: called before the commit; if it raises, nothing is committed.

    Raises:
        ActionableError: as for ``Restore``; and the errors of ``finish``.
    """
    with reading(engine) as connection:
        major = server_major(connection)
    load = _Load(find_client(client, major), file, schema, major)
    session = connect_apart(engine)
    try:
        with session.begin(), _explained():
            session.execute(NO_TIMEOUTS)
            prepare(session)
            kept = _set_aside(session, schema, when, lock_timeout)
            load.run(driver_connection(session))
            finish(session)
        return kept
    finally:
        session.invalidate()
        session.close()


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise errors.not_restored(str(error).splitlines()[0]) from error


def _set_aside(session: Connection, schema: str, when: datetime, lock_timeout: float) -> str | None:
    if not session.scalar(_IS_THERE, {"schema": schema}):
        return None
    kept = named(f"{KEPT}_{when:%Y%m%d_%H%M%S_%f}", schema)
    raw = driver_connection(session)
    _lock_tables(raw, schema, lock_timeout)
    names = sql.Identifier(schema), sql.Identifier(kept)
    raw.execute(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(*names))
    comment = sql.SQL("COMMENT ON SCHEMA {} IS {}")
    raw.execute(comment.format(names[1], sql.Literal(KEPT_COMMENT + schema)))
    return kept


def _lock_tables(raw: Raw, schema: str, lock_timeout: float) -> None:
    """Lock the tables: rows written to the old ones would be set aside with them.

    A statement that waits for such a lock looks up the table's name again afterwards.
    """
    names = [sql.Identifier(schema, str(name)) for (name,) in raw.execute(_TABLES, [schema])]
    if not names:
        return
    raw.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(int(lock_timeout * 1000)))
    lock = sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE")
    try:
        raw.execute(lock.format(sql.SQL(", ").join(names)))
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
        raise schema_in_use(schema) from error
    raw.execute("SET LOCAL lock_timeout TO DEFAULT")


_TABLES = (
    "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
    " WHERE nspname = %s AND relkind IN ('r', 'p') ORDER BY relname"
)
_IS_THERE = text("SELECT count(*) FROM pg_namespace WHERE nspname = :schema")


class _Load:
    """Runs the part of a file for one schema."""

    def __init__(self, client: Client, file: BinaryIO, schema: str, major: int) -> None:
        self._client = client
        self._file = file
        self._schema = schema
        self._major = major
        self._key: bytes | None = None

    def run(self, raw: Raw) -> None:
        """Create the schema, its tables and their rows, and last the objects that need rows."""
        with self._schema_itself() as path:
            self._statements(raw, f"--use-list={path}")
        chosen = f"--schema={self._schema}"
        self._statements(raw, chosen, "--section=pre-data")
        with self._client.script(self._file, [chosen, "--section=data"]) as lines:
            self._rows(raw, lines)
        self._statements(raw, chosen, "--section=post-data")

    @contextmanager
    def _schema_itself(self) -> Iterator[Path]:
        """A list of the entries that pg_restore leaves out for a single schema."""
        pattern = re.compile(
            rf"\d+; \d+ \d+ (SCHEMA -|(ACL|COMMENT) - SCHEMA) {re.escape(self._schema)} .*\n"
        )
        with self._client.script(self._file, ["--list"]) as output:
            entries = output.read().decode("utf-8").splitlines(keepends=True)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "list"
            path.write_text("".join(filter(pattern.fullmatch, entries)), encoding="utf-8")
            yield path

    def _statements(self, raw: Raw, *arguments: str) -> None:
        with self._client.script(self._file, arguments) as output:
            self._execute(raw, output.read())

    def _rows(self, raw: Raw, lines: Iterable[bytes]) -> None:
        between = bytearray()
        for line in lines:
            if COPY.fullmatch(line):
                self._execute(raw, bytes(between))
                between.clear()
                with raw.cursor() as cursor, cursor.copy(line) as copy:
                    for row in takewhile(END_OF_COPY.__ne__, lines):
                        copy.write(row)
            else:
                between += line
        self._execute(raw, bytes(between))

    def _execute(self, raw: Raw, script: bytes) -> None:
        if key := RESTRICT.search(script):
            self._key = key[1]
        if self._key is not None:
            for command in (b"\\restrict ", b"\\unrestrict "):
                script = script.replace(command + self._key + b"\n", b"")
        if self._major < 17:
            script = script.replace(TRANSACTION_TIMEOUT, b"", 1)
        for statement in one_by_one(script):
            raw.execute(statement)


_TOKEN = re.compile(
    rb"""'(?:[^']|'')*' | "[^"]*" | \$(\w*)\$.*?\$\1\$ | --[^\n]* | /\*.*?\*/ | (?P<end>;)""",
    re.S | re.X,
)


def one_by_one(script: bytes) -> Iterator[bytes]:
    """The statements of a script of pg_restore: Citus allows no string of several statements.

    It allows no functions either; a script with a body that is not a string is not split.
    """
    if b"BEGIN ATOMIC" in script:
        yield script
        return
    start = 0
    for token in _TOKEN.finditer(script):
        if token["end"]:
            yield script[start : token.end()]
            start = token.end()
