"""Statements in PostgreSQL's form for busy tables, as lines of Alembic code."""

import re

from ...lint.chunks import chunked, target
from ...lint.model import Effect, Thing, execute

# Only columns, in default order, without a condition.
_PLAIN = re.compile(r' USING btree \(("[^"]+"|\w+)(, ("[^"]+"|\w+))*\)$')


class NoSafeForm(Exception):
    """PostgreSQL has no safe form, or it depends on the use of the table."""


def not_null(table: str, column: str) -> list[str]:
    """Set NOT NULL: the rows are checked while others write."""
    check = quoted(f"{bare(table)}_{bare(column)}_not_null")
    add = f"ADD CONSTRAINT {check} CHECK ({column} IS NOT NULL) NOT VALID"
    return [
        execute(f"ALTER TABLE {table} {add}"),
        execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {check}"),
        execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL"),
        execute(f"ALTER TABLE {table} DROP CONSTRAINT {check}"),
    ]


def checked_first(part: Thing, line: str) -> list[str]:
    """Check the rows first, so that the statement does not read the partition."""
    table, check = part.name, quoted(f"{bare(part.name)}_bound")
    add = f"ADD CONSTRAINT {check} CHECK ({part.measures['partition_check']}) NOT VALID"
    return [
        execute(f"ALTER TABLE {table} {add}"),
        execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {check}"),
        line,
        execute(f"ALTER TABLE {table} DROP CONSTRAINT {check}"),
    ]


def create_index(index: Thing) -> str:
    """Build an index while others write."""
    name, table = index.measures["name"], index.table
    if not _is_plain(index) or "." in table or '"' in table:
        return execute(index.facts["definition"].replace(" INDEX ", " INDEX CONCURRENTLY ", 1))
    unique = ", unique=True" * index.facts["unique"]
    columns = ", ".join(f'"{column}"' for column in index.measures["columns"])
    where = f'"{name}", "{table}", [{columns}]'
    return f"op.create_index({where}{unique}, postgresql_concurrently=True)"


def create_index_of_parts(index: Thing, parts: list[tuple[str, str]]) -> list[str]:
    """Build the index of a partitioned table while others write: of each partition by itself.

    Args:
        parts: name and table of the index of each partition.
    """
    definition = index.facts["definition"]
    lines = [execute(re.sub(r" ON (ONLY )?", " ON ONLY ", definition, count=1))]
    for child, part in parts:
        concurrent = f"INDEX CONCURRENTLY {child} ON {part}"
        lines += [
            execute(re.sub(r"INDEX (\S+) ON (?:ONLY )?(\S+)", concurrent, definition)),
            execute(f"ALTER INDEX {index.name} ATTACH PARTITION {child}"),
        ]
    return lines


def drop_index(index: Thing) -> str:
    """Drop an index while others read and write."""
    name, table = index.name, index.table
    if "." in name or '"' in name + table:
        return execute(f"DROP INDEX CONCURRENTLY {name}")
    return f'op.drop_index("{name}", table_name="{table}", postgresql_concurrently=True)'


def create_moved_index(index: Thing, old: str, new: str) -> str:
    """Build an index like another one, with the column ``new`` instead of ``old``."""
    head, columns = index.facts["definition"].split(" USING ", 1)
    new_columns = re.sub(rf"(?<![\w\"]){re.escape(old)}(?![\w\"])", new, columns)
    head = re.sub(r"INDEX (\S+) ON", f"INDEX CONCURRENTLY {moved_index(index)} ON", head)
    return execute(f"{head} USING {new_columns}")


def moved_index(index: Thing) -> str:
    """The name of the index that :func:`create_moved_index` builds."""
    return quoted(f"{bare(index.name)}_new")


def create_trigger(table: str, column: str, body: str) -> list[str]:
    """Fill a column from another whenever a row is written."""
    name = _trigger(table, column)
    function = (
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$\n"
        f"BEGIN\n    {body}\n    RETURN NEW;\nEND $$"
    )
    trigger = f"CREATE TRIGGER {name} BEFORE INSERT OR UPDATE ON {table}"
    return [execute(function), execute(f"{trigger} FOR EACH ROW EXECUTE FUNCTION {name}()")]


def drop_trigger(table: str, column: str) -> list[str]:
    """Drop the trigger of :func:`create_trigger`."""
    name = _trigger(table, column)
    return [execute(f"DROP TRIGGER {name} ON {table}"), execute(f"DROP FUNCTION {name}()")]


def _trigger(table: str, column: str) -> str:
    return quoted(f"{bare(table)}_{bare(column)}_in_step")


def chunks(effect: Effect, sql: str) -> list[str]:
    """An UPDATE or DELETE that locks a thousand rows at a time.

    Raises:
        NoSafeForm: no column orders the table.
    """
    table = target(sql)
    key = _key(effect, table) if table else None
    if key is None:
        raise NoSafeForm
    return chunked(sql, key)


def _key(effect: Effect, table: str) -> str | None:
    """The one column that orders a table: of its primary key, otherwise of a unique index."""
    columns = {(t.table, t.name): t for t in effect.before.values() if t.kind == "column"}
    found = [
        (not t.facts["backs"], quoted(t.measures["columns"][0]))
        for t in effect.before.values()
        if t.kind == "index"
        and t.table == table
        and t.facts["unique"]
        and _is_plain(t)
        and len(t.measures["columns"]) == 1
    ]
    usable = [(rank, name) for rank, name in found if columns[table, name].facts["not_null"]]
    return min(usable)[1] if usable else None


def _is_plain(index: Thing) -> bool:
    return not index.measures["child"] and bool(_PLAIN.search(index.facts["definition"]))


def refresh_concurrently(effect: Effect) -> str:
    """Refresh a materialized view while others read it.

    Raises:
        NoSafeForm: it has no unique index.
    """
    (view,) = effect.rewritten
    indexes = [t for t in effect.after.values() if t.kind == "index" and t.table == view]
    if not any(index.facts["unique"] for index in indexes):
        raise NoSafeForm
    return execute(re.sub(r"(?i)\bVIEW\b", "VIEW CONCURRENTLY", effect.sql, count=1))


def reindex_concurrently(effect: Effect) -> str:
    """Rebuild an index while others write."""
    what = r"(?i)\b(INDEX|TABLE|SCHEMA|DATABASE)\b"
    return execute(re.sub(what, r"\1 CONCURRENTLY", effect.sql, count=1))


def bare(name: str) -> str:
    """A name without its schema and its quotes."""
    return name.rpartition(".")[2].strip('"')


def quoted(name: str) -> str:
    """A name in SQL, quoted if necessary."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else f'"{name}"'
