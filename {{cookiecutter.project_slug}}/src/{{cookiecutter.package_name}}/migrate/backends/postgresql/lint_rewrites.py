"""Writes the safe form of a statement, with its own names, as Alembic code.

It reads the catalog, not the statement: it makes each change again, in the
form that PostgreSQL offers for busy tables.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from ...lint.chunks import chunked, target
from ...lint.model import Effect, Rewrite, Step, Thing, execute

# Only columns, in default order, without a condition.
_PLAIN = re.compile(r' USING btree \(("[^"]+"|\w+)(, ("[^"]+"|\w+))*\)$')


class _NoSafeForm(Exception):
    """PostgreSQL has no safe form, or it depends on the use of the table."""


@dataclass
class _Steps:
    """The lines of each of the migrations."""

    expand: list[str] = field(default_factory=list)
    backfill: list[str] = field(default_factory=list)
    constrain: list[str] = field(default_factory=list)
    contract: list[str] = field(default_factory=list)

    def rewrite(self) -> Rewrite:
        steps = [
            Step(tuple(self.expand), transaction=not _alone(self.expand)),
            Step(
                tuple(self.backfill),
                transaction=False,
                phase="backfill",
                when="In a separate migration, after the one above." if self.expand else "",
            ),
            Step(
                tuple(self.constrain),
                transaction=False,
                when="In a separate migration, when every row has a value."
                if self.expand or self.backfill
                else "",
            ),
            Step(
                tuple(self.contract),
                transaction=not _alone(self.contract),
                phase="contract",
                when="In the release after next, when no running code needs the old form.",
            ),
        ]
        return tuple(step for step in steps if step.lines)


def _alone(lines: list[str]) -> bool:
    # Steps with only brief locks are one transaction, so that nobody sees an intermediate state.
    return any(re.search(r"CONCURRENTLY|concurrently|VALIDATE", line) for line in lines)


def rewrite(effect: Effect) -> Rewrite:
    """The safe form of a statement; empty if there is none, or none that can be written."""
    steps = _Steps()
    try:
        if effect.touched:
            steps.backfill += _chunks(effect, effect.sql)
        elif effect.command.startswith("REFRESH"):
            steps.expand.append(execute(_refresh_concurrently(effect)))
        elif effect.command == "REINDEX":
            steps.expand.append(
                execute(
                    re.sub(
                        r"(?i)\b(INDEX|TABLE|SCHEMA|DATABASE)\b",
                        r"\1 CONCURRENTLY",
                        effect.sql,
                        count=1,
                    )
                )
            )
        elif shrunk := _shrunk_partitions(effect):
            for part in shrunk:
                steps.expand += _checked_first(part, execute(effect.sql))
        else:
            _changes(effect, steps)
    except _NoSafeForm:
        return ()
    return steps.rewrite()


def undo(kind: str, thing: Thing) -> str:
    """The line that drops an object that an upgrade created."""
    if kind in ("constraint", "column"):
        return execute(f"ALTER TABLE {thing.table} DROP {kind.upper()} {thing.name}")
    if kind in ("trigger", "policy"):
        return execute(f"DROP {kind.upper()} {thing.name} ON {thing.table}")
    words = {"v": "VIEW", "m": "MATERIALIZED VIEW", "d": "DOMAIN"}
    if kind in ("table", "type", "index", "function", "sequence", "schema", "extension"):
        return execute(f"DROP {words.get(thing.facts.get('kind', ''), kind.upper())} {thing.name}")
    return ""


def _changes(effect: Effect, steps: _Steps) -> None:
    pairs = effect.changes()
    if not pairs and not effect.emptied:
        raise _NoSafeForm
    types = [(old, new) for old, new in pairs if (old or new).kind in _TYPES]  # type: ignore[union-attr]
    if types and not any(old for old, _ in types):
        raise _NoSafeForm
    if effect.emptied or types:
        steps.contract.append(execute(effect.sql))
        return
    # The definitions of indexes and constraints change with their columns and tables.
    for kind in ("table", "column"):
        deep = [
            (old, new)
            for old, new in pairs
            if (old or new).kind == kind and _is_deep(old, new)  # type: ignore[union-attr]
        ]
        if deep:
            is_new = any(old is None for old, _ in deep)
            made = [(o, n) for o, n in pairs if is_new and n and n.kind == "constraint" and not o]
            pairs = [*deep, *made]
            break
    for old, new in pairs:
        thing = new or old
        assert thing is not None
        if thing.kind in _WRITERS:
            _WRITERS[thing.kind](effect, old, new, steps)
        elif thing.kind != "sequence":  # a sequence comes and goes with its column
            steps.contract.append(execute(effect.sql))


def _is_deep(old: Thing | None, new: Thing | None) -> bool:
    if old is None or new is None:
        return True
    return old.name != new.name or old.facts.get("type") != new.facts.get("type")


# -- One function for each kind of object --------------------------------------------------------


_TAKE_AWAY = ("row_security", "row_security_of_owner", "unchecked")


def _table(effect: Effect, old: Thing | None, new: Thing | None, steps: _Steps) -> None:
    assert old is not None
    if new is None or any(old.facts[fact] != new.facts[fact] for fact in _TAKE_AWAY):
        steps.contract.append(execute(effect.sql))
    elif old.name != new.name:
        steps.expand.append(execute(effect.sql))
        steps.expand.append(execute(f"CREATE VIEW {old.name} AS SELECT * FROM {new.name}"))
        steps.expand += [
            execute(f"GRANT {privilege} ON {old.name} TO {role}")
            for role, privilege in (grant.rsplit(" ", 1) for grant in old.facts["grants"])
            if role != old.measures["owner"]
        ]
        steps.contract.append(execute(f"DROP VIEW {old.name}"))
    elif new.facts["partition_of"] and not old.facts["partition_of"]:
        attach = f"ATTACH PARTITION {new.name} {new.facts['bound']}"
        bound = execute(f"ALTER TABLE {new.facts['partition_of']} {attach}")
        steps.expand += _checked_first(new, bound)
    elif old.facts["partition_of"] and not new.facts["partition_of"]:
        detach = f"DETACH PARTITION {new.name} CONCURRENTLY"
        steps.contract.append(execute(f"ALTER TABLE {old.facts['partition_of']} {detach}"))
    elif old.facts["grants"] != new.facts["grants"]:
        steps.contract.append(execute(effect.sql))
    else:
        raise _NoSafeForm


def _column(effect: Effect, old: Thing | None, new: Thing | None, steps: _Steps) -> None:
    if old is None and new is not None:
        _new_column(effect, new, steps)
    elif new is None:
        steps.contract.append(execute(effect.sql))
    elif old is not None and old.name != new.name:
        _renamed(effect, old, new, steps)
    elif old is not None and old.facts["type"] != new.facts["type"]:
        _retyped(effect, old, new, steps)
    elif old is not None and new.facts["not_null"] and not old.facts["not_null"]:
        steps.constrain += _not_null(new.table, new.name)
    else:
        steps.contract.append(execute(effect.sql))


def _new_column(effect: Effect, new: Thing, steps: _Steps) -> None:
    table, name, facts = new.table, new.name, new.facts
    default = facts["default"]
    add = f"ALTER TABLE {table} ADD COLUMN {name} {facts['type']}"
    _refuse_checked(effect, new)
    if table not in effect.rewritten and (default or not facts["not_null"]):
        plain = f" DEFAULT {default}" * bool(default) + " NOT NULL" * facts["not_null"]
        steps.expand.append(execute(add + plain))
        return
    steps.expand.append(execute(add))
    if facts["generated"]:
        steps.expand += _trigger(
            table, name, f"SELECT {default} INTO NEW.{name} FROM (SELECT NEW.*) AS row;"
        )
        steps.backfill += _chunks(effect, f"UPDATE {table} SET {name} = {default}")
    elif default or facts["identity"]:
        if facts["identity"]:
            default = f"nextval('{_bare(table)}_{_bare(name)}_seq'::regclass)"
        if sequence := re.match(r"nextval\('(.+)'::regclass\)$", default):
            steps.expand.append(execute(f"CREATE SEQUENCE {sequence[1]} OWNED BY {table}.{name}"))
        steps.expand.append(
            execute(f"ALTER TABLE {table} ALTER COLUMN {name} SET DEFAULT {default}")
        )
        steps.backfill += _chunks(
            effect, f"UPDATE {table} SET {name} = DEFAULT WHERE {name} IS NULL"
        )
    if facts["not_null"]:
        (steps.constrain if steps.backfill else steps.contract).extend(_not_null(table, name))


def _refuse_checked(effect: Effect, column: Thing) -> None:
    # PostgreSQL rewrites the table to check a domain's constraint for the empty column.
    if any(
        t.kind == "constraint" and t.of == column.measures["type"] for t in effect.after.values()
    ):
        raise _NoSafeForm


def _renamed(effect: Effect, old: Thing, new: Thing, steps: _Steps) -> None:
    table, was, name = new.table, old.name, new.name
    steps.expand.append(execute(f"ALTER TABLE {table} ADD COLUMN {name} {new.facts['type']}"))
    steps.expand += _trigger(
        table,
        name,
        f"IF TG_OP = 'INSERT' THEN NEW.{name} := coalesce(NEW.{name}, NEW.{was});"
        f" NEW.{was} := NEW.{name};\n"
        f"    ELSIF NEW.{was} IS DISTINCT FROM OLD.{was} THEN NEW.{name} := NEW.{was};\n"
        f"    ELSE NEW.{was} := NEW.{name}; END IF;",
    )
    steps.backfill += _chunks(effect, f"UPDATE {table} SET {name} = {was} WHERE {name} IS NULL")
    if new.facts["not_null"]:
        steps.constrain += _not_null(table, name)
    steps.contract += _drop_trigger(table, name)
    steps.contract.append(execute(f"ALTER TABLE {table} DROP COLUMN {was}"))


def _retyped(effect: Effect, old: Thing, new: Thing, steps: _Steps) -> None:
    _refuse_checked(effect, new)
    table, name = new.table, old.name
    type_ = new.facts["type"]
    other = _quoted(f"{_bare(name)}_new")
    using = re.search(r"(?is)\bUSING\s+(.+)$", effect.sql)
    value = using[1] if using else f"{name}::{type_}"
    steps.expand.append(execute(f"ALTER TABLE {table} ADD COLUMN {other} {type_}"))
    steps.expand += _trigger(
        table, other, f"SELECT {value} INTO NEW.{other} FROM (SELECT NEW.*) AS row;"
    )
    steps.backfill += _chunks(effect, f"UPDATE {table} SET {other} = {value}")
    if new.facts["not_null"]:
        steps.constrain += _not_null(table, other)
    indexes = _indexes_of(effect, old)
    steps.constrain += [_moved_index(index, name, other) for index in indexes]
    steps.contract += _drop_trigger(table, other)
    steps.contract.append(execute(f"ALTER TABLE {table} DROP COLUMN {name}"))
    steps.contract.append(execute(f"ALTER TABLE {table} RENAME COLUMN {other} TO {name}"))
    steps.contract += [line for index in indexes for line in _take_over(effect, index)]
    if new.facts["identity"]:
        kind = "ALWAYS" if new.facts["identity"] == "a" else "BY DEFAULT"
        number = f"ALTER TABLE {table} ALTER COLUMN {name} ADD GENERATED {kind} AS IDENTITY"
        setval = f"setval(pg_get_serial_sequence('{table}', '{_bare(name)}'), max({name}))"
        steps.contract += [execute(number), execute(f"SELECT {setval} FROM {table}")]
    if default := new.facts["default"]:
        steps.contract.append(
            execute(f"ALTER TABLE {table} ALTER COLUMN {name} SET DEFAULT {default}")
        )


def _indexes_of(effect: Effect, column: Thing) -> list[Thing]:
    return [
        thing
        for thing in effect.before.values()
        if thing.kind == "index"
        and thing.of == column.of
        and column.measures["name"] in thing.measures["columns"]
    ]


def _moved_index(index: Thing, old: str, new: str) -> str:
    head, columns = index.facts["definition"].split(" USING ", 1)
    moved = re.sub(rf"(?<![\w\"]){re.escape(old)}(?![\w\"])", new, columns)
    name = _quoted(f"{_bare(index.name)}_new")
    head = re.sub(r"INDEX (\S+) ON", f"INDEX CONCURRENTLY {name} ON", head)
    return execute(f"{head} USING {moved}")


def _take_over(effect: Effect, index: Thing) -> list[str]:
    name = _quoted(f"{_bare(index.name)}_new")
    if not index.facts["backs"]:
        return [execute(f"ALTER INDEX {name} RENAME TO {index.name}")]
    constraint = next(
        thing
        for thing in effect.before.values()
        if thing.kind == "constraint"
        and thing.of == index.of
        and _bare(thing.name) == index.facts["backs"]
    )
    kind = "PRIMARY KEY" if constraint.facts["type"] == "p" else "UNIQUE"
    add = f"ADD CONSTRAINT {constraint.name} {kind} USING INDEX {name}"
    return [execute(f"ALTER TABLE {index.table} {add}")]


def _index(effect: Effect, old: Thing | None, new: Thing | None, steps: _Steps) -> None:
    thing = new or old
    assert thing is not None
    if thing.facts["backs"] or thing.measures["child"] or (old and new):
        return
    if new is None:
        steps.expand.append(_drop_index(thing))
        return
    parts = [
        (thing.name, thing.table)
        for key, thing in effect.after.items()
        if thing.kind == "index" and thing.measures["child"] and key not in effect.before
    ]
    if not parts:
        steps.expand.append(_create_index(new))
        return
    definition = new.facts["definition"]
    steps.expand.append(execute(re.sub(r" ON (ONLY )?", " ON ONLY ", definition, count=1)))
    for child, part in parts:
        its = re.sub(
            r"INDEX (\S+) ON (?:ONLY )?(\S+)", f"INDEX CONCURRENTLY {child} ON {part}", definition
        )
        steps.expand += [execute(its), execute(f"ALTER INDEX {new.name} ATTACH PARTITION {child}")]


def _constraint(effect: Effect, old: Thing | None, new: Thing | None, steps: _Steps) -> None:
    if new is None or old is not None:
        thing = old or new
        assert thing is not None
        if new is None and not thing.measures["child"]:
            drop = execute(f"ALTER TABLE {thing.table} DROP CONSTRAINT {thing.name}")
            (steps.contract if thing.facts["type"] == "p" else steps.expand).append(drop)
        return
    add = f"ALTER TABLE {new.table} ADD CONSTRAINT {new.name}"
    if new.facts["type"] == "x" or new.of.startswith("type:"):
        raise _NoSafeForm  # validating a domain takes a ShareLock too
    if new.measures["child"]:
        return
    if new.facts["type"] in ("c", "f"):
        definition = new.facts["definition"].removesuffix(" NOT VALID")
        steps.expand.append(execute(f"{add} {definition} NOT VALID"))
        steps.expand.append(execute(f"ALTER TABLE {new.table} VALIDATE CONSTRAINT {new.name}"))
        return
    kind, rest = re.match(
        r"(UNIQUE|PRIMARY KEY)[^(]*\([^)]*\)(.*)", new.facts["definition"]
    ).groups()  # type: ignore[union-attr]
    definition = effect.after[new.measures["index"]].facts["definition"]
    steps.expand.append(execute(definition.replace(" INDEX ", " INDEX CONCURRENTLY ", 1)))
    steps.expand.append(
        execute(f"{add} {kind} USING INDEX {new.name}{rest.partition(' INCLUDE')[0]}")
    )


_TYPES = (
    "type",
    "label",
    "function",
    "extension",
    "schema",
)  # objects that code names, except tables
_WRITERS: dict[str, Any] = {
    "table": _table,
    "column": _column,
    "index": _index,
    "constraint": _constraint,
}


# -- Helpers -------------------------------------------------------------------------------------


def _shrunk_partitions(effect: Effect) -> list[Thing]:
    """Default partitions that lose a range to a new partition."""
    return [
        new
        for key, new in effect.after.items()
        if new.kind == "table"
        and new.name in effect.scanned
        and new.measures["partition_check"] != effect.before[key].measures["partition_check"]
        and effect.before[key].facts["partition_of"]
    ]


def _checked_first(part: Thing, statement: str) -> list[str]:
    """A statement that need not read a partition, because its rows were checked before."""
    table, check = part.name, _quoted(f"{_bare(part.name)}_bound")
    add = f"ADD CONSTRAINT {check} CHECK ({part.measures['partition_check']}) NOT VALID"
    return [
        execute(f"ALTER TABLE {table} {add}"),
        execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {check}"),
        statement,
        execute(f"ALTER TABLE {table} DROP CONSTRAINT {check}"),
    ]


def _not_null(table: str, column: str) -> list[str]:
    check = _quoted(f"{_bare(table)}_{_bare(column)}_not_null")
    return [
        execute(
            f"ALTER TABLE {table} ADD CONSTRAINT {check} CHECK ({column} IS NOT NULL) NOT VALID"
        ),
        execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {check}"),
        execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL"),
        execute(f"ALTER TABLE {table} DROP CONSTRAINT {check}"),
    ]


def _create_index(index: Thing) -> str:
    names = index.measures["columns"]
    if _is_plain(index) and "." not in index.table and '"' not in index.table:
        unique = ", unique=True" * index.facts["unique"]
        columns = ", ".join(f'"{name}"' for name in names)
        where = f'"{index.measures["name"]}", "{index.table}", [{columns}]'
        return f"op.create_index({where}{unique}, postgresql_concurrently=True)"
    return execute(index.facts["definition"].replace(" INDEX ", " INDEX CONCURRENTLY ", 1))


def _is_plain(index: Thing) -> bool:
    return not index.measures["child"] and bool(_PLAIN.search(index.facts["definition"]))


def _drop_index(index: Thing) -> str:
    if "." in index.name or '"' in index.name + index.table:
        return execute(f"DROP INDEX CONCURRENTLY {index.name}")
    return (
        f'op.drop_index("{index.name}", table_name="{index.table}", postgresql_concurrently=True)'
    )


def _trigger(table: str, column: str, body: str) -> list[str]:
    name = _quoted(f"{_bare(table)}_{_bare(column)}_in_step")
    return [
        execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$\n"
            f"BEGIN\n    {body}\n    RETURN NEW;\nEND $$"
        ),
        execute(
            f"CREATE TRIGGER {name} BEFORE INSERT OR UPDATE ON {table}"
            f" FOR EACH ROW EXECUTE FUNCTION {name}()"
        ),
    ]


def _drop_trigger(table: str, column: str) -> list[str]:
    name = _quoted(f"{_bare(table)}_{_bare(column)}_in_step")
    return [execute(f"DROP TRIGGER {name} ON {table}"), execute(f"DROP FUNCTION {name}()")]


def _refresh_concurrently(effect: Effect) -> str:
    (view,) = effect.rewritten
    if not any(
        t.kind == "index" and t.table == view and t.facts["unique"] for t in effect.after.values()
    ):
        raise _NoSafeForm
    return re.sub(r"(?i)\bVIEW\b", "VIEW CONCURRENTLY", effect.sql, count=1)


def _chunks(effect: Effect, sql: str) -> list[str]:
    table = target(sql)
    key = _key(effect, table) if table else None
    if key is None:
        raise _NoSafeForm
    return chunked(sql, key)


def _key(effect: Effect, table: str) -> str | None:
    """The one column that orders a table: of its primary key, otherwise of a unique index."""
    columns = {(t.table, t.name): t for t in effect.before.values() if t.kind == "column"}
    found = [
        (not t.facts["backs"], _quoted(t.measures["columns"][0]))
        for t in effect.before.values()
        if t.kind == "index"
        and t.table == table
        and t.facts["unique"]
        and _is_plain(t)
        and len(t.measures["columns"]) == 1
    ]
    usable = [(rank, name) for rank, name in found if columns[table, name].facts["not_null"]]
    return min(usable)[1] if usable else None


def _bare(name: str) -> str:
    return name.rpartition(".")[2].strip('"')


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else f'"{name}"'
