"""A PostgreSQL schema as rows of text, read from the catalog in one query; and its hash.

A row is (kind, name, definition). A definition is lines of ``fact: value``; a further line of a
value starts with two spaces. Default properties (a heap, a valid index, the usual owner,
unchanged privileges) have no line, so that equal schemas have equal rows, no matter
what made them: migrations, ``pg_dump | psql`` or a replay.

The schema's own name is left out. An expression that the server writes loses the prefix
``schema.``. In the body of a function, which is its author's text, the name becomes ``{schema}``,
so that a body with its schema's name differs from a body without it.

Left out, because migrations do not define them: rows, sequence values, statistics, the physical
order of columns (unless asked for), names that the server generates (NOT NULL constraints of
PostgreSQL 18, sequences of identity columns, constraints and indexes that a partition has from its
parent), and all objects of an extension, except for changed privileges and comments on its functions,
relations and types.

Objects that belong to the database and not to a schema (event triggers, publications, subscriptions,
foreign servers, default privileges without a schema) are listed with the schema ``public``. The
database's own settings (``ALTER DATABASE … SET``, ``ALTER ROLE … IN DATABASE … SET``), privileges and
comment are left out, and so are the objects of ``pg_catalog``.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from ...patterns import like
from ..rows import Row

# How the server writes expressions depends on these; so does how long the query takes.
_SETTINGS = {
    "search_path": "pg_catalog, pg_temp",
    "quote_all_identifiers": "off",
    "standard_conforming_strings": "on",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "lc_monetary": "C",
    "xmloption": "content",
    # The query is long, and already written in the best order: planning it must not take longer
    # than running it.
    "join_collapse_limit": "1",
    "from_collapse_limit": "1",
    "max_parallel_workers_per_gather": "0",
    "enable_mergejoin": "off",
    "jit": "off",
    "work_mem": "64MB",
}

# In turn: text that is always used, a condition, the text that is used if it is true.
_PARTS = re.split(
    r"/\* only if: (.*?) \*/(.*?)/\* end \*/",
    Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"),
    flags=re.DOTALL,
)
_CONDITIONS = sorted(set(_PARTS[1::3]))
# The kinds of the schemas' objects, by their dependencies; pg_class may have a million rows.
_SET = text(
    """
    WITH there AS MATERIALIZED (
        SELECT d.classid AS class, c.relkind, c.relhastriggers, c.relhasrules,
            c.relname = n.nspname AS is_namesake, count(*) AS number
        FROM pg_catalog.pg_namespace AS n
        JOIN pg_catalog.pg_depend AS d
            ON d.refclassid = 'pg_catalog.pg_namespace'::regclass AND d.refobjid = n.oid
        LEFT JOIN pg_catalog.pg_class AS c
            ON d.classid = 'pg_catalog.pg_class'::regclass AND c.oid = d.objid
        WHERE n.nspname = ANY (CAST(:schemas AS name[]))
        GROUP BY 1, 2, 3, 4, 5
    )
    SELECT ARRAY["""
    + ", ".join(f"coalesce({condition}, false)" for condition in _CONDITIONS)
    + "] AS kept, "
    + ", ".join(f"set_config('{name}', '{value}', true)" for name, value in _SETTINGS.items())
    + " FROM there"
)


# Left out are rows without information: the schema exists, and so does the index of a constraint or a
# partition's copy of a trigger.
_TOLD = """
    , told AS (
        SELECT schema, kind, name, definition FROM listed WHERE definition <> ''
            OR kind NOT IN ('schema', 'index', 'trigger', 'default privileges', 'extension member')
    )
"""
_ROWS = """
    SELECT kind, name, definition FROM told
    ORDER BY concat_ws(chr(31), kind, name, definition) COLLATE "C"
"""
_HASHES = """
    SELECT s.nspname, encode(sha256(convert_to(coalesce(
        string_agg(told.line, chr(30) ORDER BY told.line COLLATE "C"), ''
    ), 'UTF8')), 'hex')
    FROM schemas AS s
    LEFT JOIN (
        SELECT schema, concat_ws(chr(31), kind, name, definition) AS line FROM told
    ) AS told ON told.schema = s.nspname
    GROUP BY s.nspname
"""


@cache
def _query(kept: tuple[bool, ...], wanted: str) -> str:
    """The query for ``wanted``, with the parts whose condition is true.

    In the driver's form, because SQLAlchemy takes milliseconds to find the parameters in such a long
    text, and a run executes it only once.
    """
    is_kept = dict(zip(_CONDITIONS, kept, strict=True))
    listed = "".join(
        part
        for place, part in enumerate(_PARTS)
        if place % 3 == 0 or (place % 3 == 2 and is_kept[_PARTS[place - 1]])
    )
    whole = (listed + _TOLD + wanted).replace("%", "%%")
    return re.sub(r"(?<!:):([a-z_]+)", r"%(\1)s", whole)


# To write the definition of a view, a rule or a function's SQL body, the server locks every table
# in it until the savepoint ends. All sessions share the server's table of locks; this takes at most
# a quarter of it.
_ROOM = text(
    "SELECT CAST(current_setting('max_locks_per_transaction') AS integer)"
    " * CAST(current_setting('max_connections') AS integer) / 4"
)
_LOCKS = text(
    """
    SELECT n.nspname, count(DISTINCT d.refobjid)
    FROM pg_catalog.pg_namespace AS n
    LEFT JOIN (
        SELECT c.relnamespace AS nsp, 'pg_catalog.pg_rewrite'::regclass AS class, rw.oid
        FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_rewrite AS rw ON rw.ev_class = c.oid
        WHERE c.relhasrules
        UNION ALL
        SELECT pronamespace, 'pg_catalog.pg_proc'::regclass, oid
        FROM pg_catalog.pg_proc WHERE prosqlbody IS NOT NULL
    ) AS written ON written.nsp = n.oid
    LEFT JOIN pg_catalog.pg_depend AS d
        ON d.classid = written.class AND d.objid = written.oid
        AND d.refclassid = 'pg_catalog.pg_class'::regclass
    WHERE n.nspname = ANY (CAST(:schemas AS name[]))
    GROUP BY n.nspname
    ORDER BY n.nspname
    """
)


def read_rows(
    connection: Connection,
    schema: str,
    *,
    excluded: Collection[str] = (),
    column_order: bool = False,
) -> list[Row]:
    """Every row of one schema, sorted. A missing schema has none.

    Args:
        connection: in a transaction or not; its settings are not changed.
        excluded: names to leave out with all their parts; ``*`` stands for any text.
        column_order: also include the order of each table's columns.
    """
    values = _values([schema], excluded, column_order)
    with _plain_settings(connection, values) as kept:
        rows = connection.exec_driver_sql(_query(kept, _ROWS), values)
        return [(row[0], row[1], row[2]) for row in rows]


def read_hashes(
    connection: Connection,
    schemas: Iterable[str],
    *,
    excluded: Collection[str] = (),
    column_order: bool = False,
) -> dict[str, str]:
    """The hash of each existing schema's rows, computed by the server.

    It equals :func:`~..rows.hash_of_rows` of the rows. One query reads all schemas, unless their
    views would need too many locks.

    Args:
        connection: as for :func:`read_rows`.
        schemas: names of schemas. Ten thousand are read in a few seconds.
        excluded: as for :func:`read_rows`.
        column_order: as for :func:`read_rows`.
    """
    hashes: dict[str, str] = {}
    for chunk in _chunks(connection, schemas):
        values = _values(chunk, excluded, column_order)
        with _plain_settings(connection, values) as kept:
            rows = connection.exec_driver_sql(_query(kept, _HASHES), values)
            hashes.update((row[0], row[1]) for row in rows)
    return hashes


def _chunks(connection: Connection, schemas: Iterable[str]) -> Iterator[list[str]]:
    """Schemas that one query can read without filling the server's table of locks."""
    schemas = list(schemas)
    if len(schemas) == 1:
        yield schemas
        return
    room = int(connection.scalar(_ROOM) or 0)
    rows = connection.execute(_LOCKS, {"schemas": schemas}).all()
    chunk: list[str] = []
    locks = 0
    for schema, needed in rows:
        if chunk and locks + needed > room:
            yield chunk
            chunk, locks = [], 0
        chunk.append(schema)
        locks += needed
    if chunk:
        yield chunk


def version(connection: Connection) -> str:
    """The major version. The texts of two versions may differ: never compare them."""
    number = connection.scalar(text("SELECT current_setting('server_version_num')"))
    return f"PostgreSQL {int(str(number)) // 10_000}"


def look_for(address: str) -> None:
    """Does nothing: the server reports a missing database."""


def _values(
    schemas: Iterable[str], excluded: Collection[str], column_order: bool
) -> dict[str, Any]:
    return {
        "schemas": list(schemas),
        "excluded": [like(pattern) for pattern in excluded],
        "column_order": column_order,
    }


@contextmanager
def _plain_settings(connection: Connection, values: dict[str, Any]) -> Iterator[tuple[bool, ...]]:
    """Apply the settings in the block. The transaction continues afterwards, also after a failure.

    Yields which conditions of the query's parts are true.
    """

    def conditions() -> tuple[bool, ...]:
        return tuple(connection.execute(_SET, values).one().kept)

    raw: Any = connection.connection.driver_connection
    if raw.autocommit:  # there is no savepoint without a transaction
        connection.exec_driver_sql("BEGIN")
        try:
            yield conditions()
        finally:
            connection.exec_driver_sql("ROLLBACK")
        return
    with connection.begin_nested() as savepoint:
        yield conditions()
        savepoint.rollback()
