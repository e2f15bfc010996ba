"""A SQLite database as rows of text, read from ``sqlite_master``.

SQLite stores the text of each CREATE statement, as it was written and as ALTER TABLE
changed it. Here it is cut into tokens, and a table into columns and constraints, so that spelling,
layout and order do not matter: ``email TEXT UNIQUE`` and ``UNIQUE ("email")`` are equal.

Left out: rows, statistics, and SQLite's internal objects (``sqlite_sequence``, the indexes of
constraints, the shadow tables of virtual ones).
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, make_url
from sqlalchemy.exc import ArgumentError

from ...patterns import matches
from ..rows import Row, hash_of_rows
from .tokens import CLOSE, OPEN, bare, fold, group, join, split, tokens

# The first words of a column's constraint, and of a table's constraint.
_CONSTRAINT_WORDS = re.compile(
    "constraint|primary|not|null|unique|check|default|collate|references|generated|as"
)
_TABLE_CONSTRAINT_WORDS = re.compile("constraint|primary|unique|check|foreign")


def read_rows(
    connection: Connection,
    schema: str = "main",
    *,
    excluded: Collection[str] = (),
    column_order: bool = False,
) -> list[Row]:
    """Every row of the database, sorted.

    Args:
        schema: ``main``, or the name of an attached database.
        excluded: names to leave out with all their parts; ``*`` stands for any text.
        column_order: also include the order of each table's columns.
    """
    at = '"' + schema.replace('"', '""') + '"'
    kept = connection.exec_driver_sql(
        f"SELECT type, name, tbl_name, sql FROM {at}.sqlite_master"
        " WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    )
    shadows = connection.exec_driver_sql(
        f"SELECT name FROM pragma_table_list WHERE type = 'shadow' AND schema = '{_quoted(schema)}'"
    )
    hidden = {fold(name) for (name,) in shadows}
    rows: list[Row] = []
    for kind, name, table, sql in kept:
        names = {fold(name), fold(table)}
        if names.isdisjoint(hidden) and not _matches(names, excluded):
            rows += _read(kind, tokens(sql), column_order)
    return sorted(_with_parents_keys(rows))


def read_hashes(
    connection: Connection,
    schemas: Iterable[str] = ("main",),
    *,
    excluded: Collection[str] = (),
    column_order: bool = False,
) -> dict[str, str]:
    """The hash of the rows of each attached database; arguments as for :func:`read_rows`."""
    return {
        schema: hash_of_rows(
            read_rows(connection, schema, excluded=excluded, column_order=column_order)
        )
        for schema in schemas
    }


def look_for(address: str) -> None:
    """Refuse the address of a missing file, which SQLite would create.

    Raises:
        FileNotFoundError: there is no such file.
    """
    with suppress(ArgumentError):  # connecting reports it
        file = make_url(address).database
        if file and file != ":memory:" and not file.startswith("file:") and not Path(file).exists():
            raise FileNotFoundError(f"there is no file {file}")


def version(connection: Connection) -> str:
    """The major version: within it the file format and its meaning do not change."""
    number = str(connection.exec_driver_sql("SELECT sqlite_version()").scalar())
    return f"SQLite {number.partition('.')[0]}"


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _matches(names: Iterable[str], patterns: Collection[str]) -> bool:
    folded = [fold(pattern) for pattern in patterns]
    return any(matches(name, folded) for name in names)


def _read(kind: str, sql: Sequence[str], column_order: bool) -> Iterator[Row]:
    """The rows of one CREATE statement."""
    start = sql.index(kind) + 1  # after CREATE UNIQUE INDEX, CREATE VIRTUAL TABLE
    if sql[start : start + 3] == ["if", "not", "exists"]:
        start += 3
    if sql[start + 1 : start + 2] == ["."]:
        start += 2
    name, rest = sql[start], list(sql[start + 1 :])
    if kind == "table" and "virtual" in sql[:start]:
        yield "virtual table", name, _facts({"definition": join(rest)})
    elif kind == "table":
        yield from _table(name, rest, column_order)
    elif kind == "index":
        yield _index(name, rest, unique="unique" in sql[:start])
    elif kind == "view":
        yield "view", name, _facts({"definition": join(rest)})
    elif kind == "trigger":
        at = rest.index("on")
        yield "trigger", f"{rest[at + 1]}.{name}", _facts({"definition": join(_trigger(rest))})


def _trigger(rest: list[str]) -> list[str]:
    # BEFORE is the default. FOR EACH ROW is left out: it is the only form.
    if rest[0] not in ("before", "after", "instead"):
        rest = ["before", *rest]
    for place in range(len(rest) - 2):
        if rest[place : place + 3] == ["for", "each", "row"]:
            return rest[:place] + rest[place + 3 :]
    return rest


def _index(name: str, rest: list[str], *, unique: bool) -> Row:
    _, table, *columns = rest  # ON table (…) WHERE …
    end = group(columns, 0)
    facts = {
        "table": table,
        "unique": "yes" if unique else None,
        "definition": f"({_keys(columns[1 : end - 1])})",
        "where": join(bare(columns[end + 1 :])) or None,
    }
    return "index", name, _facts(facts)


def _keys(parts: Sequence[str]) -> str:
    """Columns of an index or a key; ascending is the default."""
    keys = (key[:-1] if key[-1:] == ["asc"] else key for key in split(parts))
    return ", ".join(join(bare(key)) for key in keys)


# -- Tables ----------------------------------------------------------------------------------------


@dataclass
class _Table:
    name: str
    columns: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    nameless: set[str] = field(default_factory=set)

    def constraint(self, definition: str, name: str = "") -> None:
        """Add a constraint."""
        if name:
            self.rows.append(("constraint", f"{self.name}.{name}", f"definition: {definition}"))
        else:
            self.nameless.add(definition)

    def nameless_constraints(self) -> Iterator[Row]:
        """Constraints without a name are identified by kind and columns, if these are unique."""
        uses = Counter(map(_short, self.nameless))
        for definition in self.nameless:
            short = _short(definition)
            name = short if uses[short] == 1 else definition
            yield "constraint", f"{self.name}.{name}", f"definition: {definition}"


def _with_parents_keys(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows; a foreign key that names no columns of its parent names those of its primary key."""
    rows = list(rows)
    keys: dict[str, str] = {}
    for kind, name, definition in rows:
        if kind == "constraint" and (primary := _PRIMARY_KEY.match(definition)):
            keys[name.partition(".")[0]] = primary[1]
    for kind, name, definition in rows:
        found = _BARE_REFERENCE.match(definition) if kind == "constraint" else None
        if found and (columns := keys.get(found[1])):
            definition = f"{found[0]}({columns}){definition[found.end() :]}"
        yield kind, name, definition


_PRIMARY_KEY = re.compile(r"definition: PRIMARY KEY \(([^()]*)\)")
_BARE_REFERENCE = re.compile(
    r"definition: FOREIGN KEY \([^()]*\) REFERENCES (\w+|\"[^\"]*\")(?= |$)"
)


def _short(definition: str) -> str:
    if definition.startswith("CHECK"):
        return definition
    if definition.startswith("PRIMARY KEY"):
        return "PRIMARY KEY"
    return definition[: definition.index(")") + 1]


def _table(name: str, rest: list[str], column_order: bool) -> Iterator[Row]:
    end = group(rest, 0)
    table = _Table(name)
    for part in split(rest[1 : end - 1]):
        if _TABLE_CONSTRAINT_WORDS.fullmatch(part[0]):
            _table_constraint(table, part)
        else:
            _column(table, part)
    options = rest[end:]
    facts = {
        "without rowid": "yes" if "without" in options else None,
        "strict types": "yes" if "strict" in options else None,
        "column order": ", ".join(table.columns) if column_order else None,
    }
    yield "table", name, _facts(facts)
    yield from table.rows
    yield from table.nameless_constraints()


def _table_constraint(table: _Table, part: list[str]) -> None:
    name = ""
    if part[0] == "constraint":
        name, part = part[1], part[2:]
    if not part:
        return
    start = part.index(OPEN)
    end = group(part, start)
    inside, behind = part[start + 1 : end - 1], part[end:]
    if part[0] == "check":
        definition = f"CHECK ({join(bare(inside))})"
    elif part[0] == "foreign":
        definition = f"FOREIGN KEY ({join(inside)}) {_references(behind)}"
    else:
        word = "PRIMARY KEY" if part[0] == "primary" else "UNIQUE"
        if inside[-1:] == ["autoincrement"]:
            inside, behind = inside[:-1], [*behind, "autoincrement"]
        definition = f"{word} ({_keys(inside)})" + _behind(behind)
    table.constraint(definition, name)


def _column(table: _Table, part: list[str]) -> None:
    column, rest = part[0], part[1:]
    table.columns.append(column)
    words = (n for n, token in enumerate(rest) if _CONSTRAINT_WORDS.fullmatch(token))
    end = next(words, len(rest))
    facts: dict[str, str | None] = {"type": join(rest[:end]).upper() or "none"}
    name = ""
    for clause in _clauses(rest[end:]):
        word, *behind = clause
        if word == "constraint":
            name = behind[0]
            continue
        if word in ("primary", "unique"):
            _column_key(table, column, clause, name)
        elif word == "check":
            stop = group(behind, 0)
            table.constraint(f"CHECK ({join(bare(behind[:stop]))})", name)
        elif word == "references":
            table.constraint(f"FOREIGN KEY ({column}) {_references(clause)}", name)
        elif word == "not":
            facts["not null"] = "yes" + _behind(behind[1:])
        elif word == "default" and (default := _default(behind)) != "null":
            facts["default"] = default
        elif word == "collate" and behind != ["binary"]:  # the default
            facts["collation"] = behind[0].upper()
        elif word == "as":
            stop = group(behind, 0)
            stored = "stored" in behind[stop:]
            facts["generated" if stored else "generated when read"] = join(bare(behind[:stop]))
        name = ""
    in_order = _facts({fact: facts.get(fact) for fact in _FACTS})
    table.rows.append(("column", f"{table.name}.{column}", in_order))


# The facts about a column, in this order, whatever the order of its clauses.
_FACTS = ("type", "not null", "default", "collation", "generated", "generated when read")


def _clauses(parts: list[str]) -> Iterator[list[str]]:
    """Split a column's constraints: each begins with its keyword."""
    clause: list[str] = []
    depth = 0
    for place, token in enumerate(parts):
        begins = not depth and _CONSTRAINT_WORDS.fullmatch(token)
        before = parts[place - 1] if place else ""
        # NOT NULL, DEFAULT NULL, ON DELETE SET NULL, SET DEFAULT; GENERATED ALWAYS AS
        goes_on = (token == "null" and before in ("not", "default", "set")) or (
            token == "default" and before == "set"
        )
        # NOT DEFERRABLE belongs to its foreign key.
        goes_on = goes_on or (token == "not" and parts[place + 1 : place + 2] == ["deferrable"])
        if begins and not goes_on:
            if clause and clause[0] != "generated":
                yield clause
            clause = []
        clause.append(token)
        depth += (token == OPEN) - (token == CLOSE)
    if clause:
        yield clause


def _column_key(table: _Table, column: str, clause: list[str], name: str) -> None:
    word = "PRIMARY KEY" if clause[0] == "primary" else "UNIQUE"
    behind = clause[2:] if clause[0] == "primary" else clause[1:]
    order = ""
    if behind[:1] in (["asc"], ["desc"]):
        order, behind = (" desc" if behind[0] == "desc" else ""), behind[1:]
    table.constraint(f"{word} ({column}{order})" + _behind(behind), name)


def _references(parts: list[str]) -> str:
    """REFERENCES table (columns) with non-default clauses, always in the same order."""
    end = group(parts, 2) if parts[2:3] == [OPEN] else 2
    text = f"REFERENCES {parts[1]}{join(['', *parts[2:end]]).strip()}"
    behind = join(parts[end:])
    for clause, usual in _REFERENCE_CLAUSES:
        found = re.search(clause, behind)
        if found and found.group() not in usual:
            text += f" {found.group()}"
    return text


# Clauses of a foreign key, and their defaults.
_ACTION = "(?:set null|set default|cascade|restrict|no action)"
_REFERENCE_CLAUSES = (
    (f"on delete {_ACTION}", {"on delete no action"}),
    (f"on update {_ACTION}", {"on update no action"}),
    # SQLite parses MATCH and ignores it; NOT DEFERRABLE and INITIALLY IMMEDIATE are the defaults.
    (r"(?<!not )deferrable initially deferred", set[str]()),
)


def _default(parts: list[str]) -> str:
    parts = bare(parts)
    return join(parts[1:] if parts[0] == "+" else parts)  # a sign before a number


def _behind(parts: Sequence[str]) -> str:
    # ON CONFLICT ABORT is the default.
    return f" {text}" if (text := join(parts).replace("on conflict abort", "").strip()) else ""


def _facts(facts: dict[str, str | None]) -> str:
    lines = (f"{fact}: {value}" for fact, value in facts.items() if value is not None)
    return "\n".join(line.replace("\n", "\n  ") for line in lines)
