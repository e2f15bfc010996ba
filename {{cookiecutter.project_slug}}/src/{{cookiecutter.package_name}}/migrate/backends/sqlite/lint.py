"""Asks SQLite about the effect of a statement: rebuilt tables, what they lost, the rows it reads.

SQLite has one lock for all writers, and readers continue meanwhile (WAL): only the duration of a
statement matters.
"""

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Engine

from ...config import MigrationConfig
from ...lint.chunks import chunked, target
from ...lint.model import UNSEEN, Catalog, Effect, Rewrite, Step, Thing, Watch, execute
from .connection import migrating

_WRITE_LOCK = "the write lock"
_FAMILIES = (("INT", "integer"), ("CHAR", "text"), ("CLOB", "text"), ("TEXT", "text"))
_SPACES_AND_QUOTES = re.compile(r"[\s\"`]")
_COPY = "_alembic_tmp_"  # the name of the table that batch_alter_table builds


def connect(engine: Engine, config: MigrationConfig) -> AbstractContextManager[Connection]:
    """A connection to a scratch database, as in a run of the engine."""
    return migrating(engine, config)


def prepare(connection: Connection) -> None:
    """Nothing to set up."""


def catalog(connection: Connection) -> Catalog:
    """Read the catalog."""
    raw: Any = connection.connection.dbapi_connection
    return _read(raw)


def run(cursor: Any, statement: str, parameters: Any, many: bool, watch: Watch) -> Sequence[Effect]:
    """Execute a statement."""
    raw = cursor.connection
    before = _read(raw, watch.renamed)
    alone = _is_ignored_in_transaction(raw, statement)
    touched = _touched(raw, statement, parameters[0] if many and parameters else parameters, before)
    emptied = _children(raw, statement, before)
    try:
        (cursor.executemany if many else cursor.execute)(statement, parameters)
    except sqlite3.OperationalError as error:
        if "within a transaction" not in str(error):
            raise
        alone = True
        raw.commit()
        cursor.execute(statement, parameters)
        raw.execute("BEGIN")
    _note_rename(statement, watch)
    after = _read(raw, watch.renamed)
    command = " ".join(statement.split()[:2]).upper()
    tables = {key for key in watch.existing if key in after and after[key].facts["kind"] == "r"}
    rewritten = {key for key in tables if key not in before}
    if command == "INSERT INTO" and _COPY in statement:
        touched = set()  # the copy of batch_alter_table is reported for the rebuilt table
    locked = rewritten | {
        new.of
        for key, new in after.items()
        if new.kind in ("index", "column") and key not in before and new.of in tables
    }
    name = {key: (before.get(key) or after[key]).name for key in watch.existing & {*before, *after}}
    return [
        Effect(
            sql=statement.strip().rstrip(";"),
            line=watch.line,
            command=command,
            existing=watch.existing,
            before=before,
            after=after,
            locks={name[key]: _WRITE_LOCK for key in locked & set(name)},
            rewritten=frozenset(name[key] for key in rewritten),
            emptied=frozenset(name[key] for key in emptied & set(name)),
            touched=frozenset(name[key] for key in touched & set(name)),
            needs_autocommit=alone,
        )
    ]


_RENAME = re.compile(
    r"(?is)^\s*ALTER\s+TABLE\s+[\"`]?(?P<table>\w+)[\"`]?\s+RENAME\s+"
    r"(?:(?:COLUMN\s+)?[\"`]?(?P<column>(?!TO\b)\w+)[\"`]?\s+)?TO\s+[\"`]?(?P<name>\w+)"
)


def _note_rename(statement: str, watch: Watch) -> None:
    found = _RENAME.match(statement)
    if found is None:
        return
    column, table = found["column"], found["table"]
    old = f"column:{table}.{column}" if column else f"table:{table}"
    new = f"column:{table}.{found['name']}" if column else f"table:{found['name']}"
    if column or old in watch.existing:
        watch.renamed[new] = watch.renamed.get(old, old)


def changes_server(_statement: str) -> bool:
    """Never: there is no server."""
    return False


def unseen(connection: Connection, before: Catalog, watch: Watch) -> Sequence[Effect]:
    """The effects of statements that bypassed SQLAlchemy; changes of rows are not seen."""
    raw: Any = connection.connection.dbapi_connection
    after = _read(raw, watch.renamed)
    return (Effect(UNSEEN, None, "", watch.existing, before, after),) * (after != before)


def fits(old: Thing, new: Thing) -> bool:
    """Whether code for a column's old type can read and write the new one.

    SQLite stores any value in any column, so only Python's type matters.
    """
    return _family(old.facts["type"]) == _family(new.facts["type"])


def _family(type_: str) -> str:
    upper = re.sub(r"\(.*", "", type_.upper()).strip()
    return next((family for word, family in _FAMILIES if word in upper), upper)


def rewrite(effect: Effect) -> Rewrite:
    """The safe form of a statement; empty if there is none."""
    if effect.touched and target(effect.sql):
        return (Step(tuple(chunked(effect.sql, "rowid")), transaction=False, phase="backfill"),)
    if any(old is not None and new is None for old, new in effect.changes("table", "column")):
        return (Step((execute(effect.sql),), phase="contract"),)
    return ()


def undo(kind: str, thing: Thing) -> str:
    """The line that drops an object that an upgrade created."""
    if kind == "column":
        return execute(f"ALTER TABLE {thing.table} DROP COLUMN {thing.name}")
    if kind == "constraint":
        return ""
    word = "VIEW" if thing.facts.get("kind") == "v" else kind.upper()
    return execute(f"DROP {word} {thing.name}")


# -- The catalog ---------------------------------------------------------------------------------


def _read(raw: sqlite3.Connection, renamed: Mapping[str, str] | None = None) -> Catalog:
    rows = raw.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    ).fetchall()
    found: dict[str, Thing] = {}
    triggered = {table for type_, _, table, _ in rows if type_ == "trigger"}
    for type_, name, table, sql in rows:
        key, definition = f"table:{table}", " ".join((sql or "").split())
        if type_ in ("table", "view"):
            query = {"query": definition} if type_ == "view" else {}
            facts = {
                "kind": "v" if query else "r",
                "writable": not query or name in triggered,
                **query,
            }
            found[key] = Thing("table", name, key, "", facts)
            found |= _columns(raw, key, name)
            found |= _constraints(raw, key, name, definition)
        else:
            facts = {"definition": definition, "enabled": type_ == "trigger"}
            found[f"{type_}:{name}"] = Thing(type_, name, key, table, facts)
    return {
        _identity(key, thing, renamed or {}): replace(
            thing, of=(renamed or {}).get(thing.of, thing.of)
        )
        for key, thing in found.items()
    }


def _identity(key: str, thing: Thing, renamed: Mapping[str, str]) -> str:
    table = renamed.get(thing.of, thing.of).partition(":")[2]
    return renamed.get(key, f"column:{table}.{thing.name}" if thing.kind == "column" else key)


def _columns(raw: sqlite3.Connection, key: str, table: str) -> Iterator[tuple[str, Thing]]:
    rows = raw.execute("SELECT * FROM pragma_table_xinfo(?)", (table,)).fetchall()
    keys = sum(bool(row[5]) for row in rows)
    for _, name, type_, not_null, default, is_key, hidden in rows:
        facts = {
            "type": type_,
            "not_null": bool(not_null),
            "default": default,
            "identity": "d" * (is_key and keys == 1 and type_.upper() == "INTEGER"),
            "generated": hidden > 1,
        }
        yield f"column:{table}.{name}", Thing("column", name, key, table, facts)


def _constraints(
    raw: sqlite3.Connection, key: str, table: str, sql: str
) -> Iterator[tuple[str, Thing]]:
    names = [f"CHECK ({_SPACES_AND_QUOTES.sub('', check)})" for check in _checks(sql)]
    rows = raw.execute("SELECT * FROM pragma_foreign_key_list(?)", (table,)).fetchall()
    for number in {row[0] for row in rows}:
        part = sorted(row for row in rows if row[0] == number)
        mine, theirs = (", ".join(str(row[at]) for row in part) for at in (3, 4))
        names.append(f"FOREIGN KEY ({mine}) REFERENCES {part[0][2]} ({theirs}) {part[0][5:7]}")
    for _, index, _, origin, _ in raw.execute("SELECT * FROM pragma_index_list(?)", (table,)):
        if origin != "c":
            columns = raw.execute("SELECT name FROM pragma_index_info(?)", (index,)).fetchall()
            word = "UNIQUE" if origin == "u" else "PRIMARY KEY"
            names.append(f"{word} ({', '.join(str(name) for (name,) in columns)})")
    for name in names:
        yield f"constraint:{table}.{name}", Thing("constraint", name, key, table, {})


def _checks(sql: str) -> Iterator[str]:
    for match in re.finditer(r"(?i)\bCHECK\s*\(", sql):
        depth, end = 1, match.end()
        while depth and end < len(sql):
            depth += {"(": 1, ")": -1}.get(sql[end], 0)
            end += 1
        yield sql[match.end() : end - 1]


# -- The rows that a statement reads -------------------------------------------------------------


def _touched(
    raw: sqlite3.Connection, statement: str, parameters: Any, catalog: Catalog
) -> set[str]:
    """Tables whose rows a statement changes or fetches without a limiting key."""
    if not re.match(r"\s*(WITH|SELECT|INSERT|UPDATE|DELETE|REPLACE)\b", statement, re.IGNORECASE):
        return set()
    try:
        program = raw.execute(f"EXPLAIN {statement}", parameters).fetchall()
    except sqlite3.Error:
        return set()  # executing the statement will report the error
    commands = {row[1] for row in program}
    if "OpenWrite" not in commands and {"AggStep", "Count", "IfNotZero"} & commands:
        return set()  # a SELECT that returns one row, or sorts rows for a LIMIT
    pages = dict(
        raw.execute("SELECT rootpage, tbl_name FROM sqlite_schema WHERE rootpage").fetchall()
    )
    unique = _unique_pages(raw)
    opened = [row for row in program if row[1] in ("OpenRead", "OpenWrite") and not row[4]]
    cursors = {
        row[2]: row[3] for row in opened
    }  # only of the main database, without temporary tables
    found = {pages.get(row[2], "") for row in program if row[1] == "Clear" and row[3] == 0}
    limits = [(at, end) for at, command, _, end, *_ in program if command == "DecrJumpZero"]
    for begin, command, cursor, end, *_ in program:
        page = cursors.get(cursor)
        whole = command in ("Rewind", "Last")
        if any(begin < at < end <= out for at, out in limits):
            continue  # a LIMIT ends this loop
        if page in pages and (whole or (command.startswith("Seek") and page not in unique)):
            found.add(pages[page])
    return {f"table:{name}" for name in found}


def _unique_pages(raw: sqlite3.Connection) -> set[int]:
    """Root pages that lead to a single row: those of tables and of unique indexes."""
    return {
        page
        for (page,) in raw.execute(
            "SELECT rootpage FROM sqlite_schema AS s WHERE type = 'table' OR EXISTS ("
            'SELECT 1 FROM pragma_index_list(s.tbl_name) AS i WHERE i.name = s.name AND i."unique")'
        )
    }


def _children(raw: sqlite3.Connection, statement: str, catalog: Catalog) -> set[str]:
    """Tables whose rows are deleted with a dropped table."""
    dropped = re.match(r"(?i)\s*DROP\s+TABLE\s+(?:IF\s+EXISTS\s+)?[\"`]?(\w+)", statement)
    if dropped is None or not raw.execute("PRAGMA foreign_keys").fetchone()[0]:
        return set()
    return {
        thing.of
        for thing in catalog.values()
        if thing.kind == "constraint" and f"REFERENCES {dropped[1]} " in thing.name
    }


def _is_ignored_in_transaction(raw: sqlite3.Connection, statement: str) -> bool:
    # https://www.sqlite.org/pragma.html#pragma_foreign_keys
    pattern = r"(?i)\s*PRAGMA\s+(foreign_keys|journal_mode)\s*[=(]"
    return bool(raw.in_transaction and re.match(pattern, statement))
