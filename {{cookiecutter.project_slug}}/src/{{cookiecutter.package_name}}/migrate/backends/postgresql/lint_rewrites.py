"""Writes the safe form of a statement, with its own names, as Alembic code.

It reads the catalog, not the statement: it makes each change again, in the
form that PostgreSQL offers for busy tables.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from ...lint.model import Change, Effect, Rewrite, Step, Thing, execute
from . import lint_forms as forms
from .lint_forms import NoSafeForm, bare, quoted


@dataclass
class _Steps:
    """The lines of each of the migrations."""

    expand: list[str] = field(default_factory=list)
    backfill: list[str] = field(default_factory=list)
    constrain: list[str] = field(default_factory=list)
    contract: list[str] = field(default_factory=list)

    def rewrite(self) -> Rewrite:
        filled = self.expand or self.backfill
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
                when="In a separate migration, when every row has a value." if filled else "",
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
        _write(effect, steps)
    except NoSafeForm:
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


def _write(effect: Effect, steps: _Steps) -> None:
    if effect.touched:
        steps.backfill += forms.chunks(effect, effect.sql)
    elif effect.command.startswith("REFRESH"):
        steps.expand.append(forms.refresh_concurrently(effect))
    elif effect.command == "REINDEX":
        steps.expand.append(forms.reindex_concurrently(effect))
    elif shrunk := _shrunk_partitions(effect):
        for part in shrunk:
            steps.expand += forms.checked_first(part, execute(effect.sql))
    else:
        _write_changes(effect, steps)


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


_NAMED = (
    "type",
    "label",
    "function",
    "extension",
    "schema",
)  # objects that code names, except tables


def _write_changes(effect: Effect, steps: _Steps) -> None:
    changes = effect.changes()
    if not changes and not effect.emptied:
        raise NoSafeForm
    named = [change for change in changes if (change.old or change.thing).kind in _NAMED]
    if named and not any(change.old for change in named):
        raise NoSafeForm
    if effect.emptied or named:
        steps.contract.append(execute(effect.sql))
        return
    for change in _causes(changes):
        kind = change.thing.kind
        if kind in _WRITERS:
            _WRITERS[kind](effect, change, steps)
        elif kind != "sequence":  # that comes and goes with its column
            steps.contract.append(execute(effect.sql))


def _causes(changes: list[Change]) -> list[Change]:
    """The changes without those that follow from others of them.

    The definitions of indexes and constraints follow what they are about.
    """
    for kind in ("table", "column"):
        deep = [c for c in changes if (c.old or c.thing).kind == kind and _is_deep(c)]
        if deep:
            is_new = any(change.old is None for change in deep)
            made = [c for c in changes if is_new and c.thing.kind == "constraint" and not c.old]
            return [*deep, *made]
    return changes


def _is_deep(change: Change) -> bool:
    old, new = change
    if old is None or new is None:
        return True
    return old.name != new.name or old.facts.get("type") != new.facts.get("type")


# -- One function for each kind of object --------------------------------------------------------


_TAKE_AWAY = ("row_security", "row_security_of_owner", "unchecked")


def _table(effect: Effect, change: Change, steps: _Steps) -> None:
    old, new = change
    assert old is not None
    if new is None or any(old.facts[fact] != new.facts[fact] for fact in _TAKE_AWAY):
        steps.contract.append(execute(effect.sql))
    elif old.name != new.name:
        _renamed_table(effect, old, new, steps)
    elif new.facts["partition_of"] and not old.facts["partition_of"]:
        attach = f"ATTACH PARTITION {new.name} {new.facts['bound']}"
        bound = execute(f"ALTER TABLE {new.facts['partition_of']} {attach}")
        steps.expand += forms.checked_first(new, bound)
    elif old.facts["partition_of"] and not new.facts["partition_of"]:
        detach = f"DETACH PARTITION {new.name} CONCURRENTLY"
        steps.contract.append(execute(f"ALTER TABLE {old.facts['partition_of']} {detach}"))
    elif old.facts["grants"] != new.facts["grants"]:
        steps.contract.append(execute(effect.sql))
    else:
        raise NoSafeForm


def _renamed_table(effect: Effect, old: Thing, new: Thing, steps: _Steps) -> None:
    grants = [grant.rsplit(" ", 1) for grant in old.facts["grants"]]
    steps.expand.append(execute(effect.sql))
    steps.expand.append(execute(f"CREATE VIEW {old.name} AS SELECT * FROM {new.name}"))
    steps.expand += [
        execute(f"GRANT {privilege} ON {old.name} TO {role}")
        for role, privilege in grants
        if role != old.measures["owner"]
    ]
    steps.contract.append(execute(f"DROP VIEW {old.name}"))


def _column(effect: Effect, change: Change, steps: _Steps) -> None:
    old, new = change
    if new is None:
        steps.contract.append(execute(effect.sql))
    elif old is None:
        _new_column(effect, new, steps)
    elif old.name != new.name:
        _renamed_column(effect, old, new, steps)
    elif old.facts["type"] != new.facts["type"]:
        _retyped_column(effect, old, new, steps)
    elif new.facts["not_null"] and not old.facts["not_null"]:
        steps.constrain += forms.not_null(new.table, new.name)
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
        body = f"SELECT {default} INTO NEW.{name} FROM (SELECT NEW.*) AS row;"
        steps.expand += forms.create_trigger(table, name, body)
        steps.backfill += forms.chunks(effect, f"UPDATE {table} SET {name} = {default}")
    elif default or facts["identity"]:
        _give_default(effect, new, steps)
    if facts["not_null"]:
        (steps.constrain if steps.backfill else steps.contract).extend(forms.not_null(table, name))


def _give_default(effect: Effect, new: Thing, steps: _Steps) -> None:
    table, name, default = new.table, new.name, new.facts["default"]
    if new.facts["identity"]:
        default = f"nextval('{bare(table)}_{bare(name)}_seq'::regclass)"
    if sequence := re.match(r"nextval\('(.+)'::regclass\)$", default):
        steps.expand.append(execute(f"CREATE SEQUENCE {sequence[1]} OWNED BY {table}.{name}"))
    steps.expand.append(execute(f"ALTER TABLE {table} ALTER COLUMN {name} SET DEFAULT {default}"))
    fill = f"UPDATE {table} SET {name} = DEFAULT WHERE {name} IS NULL"
    steps.backfill += forms.chunks(effect, fill)


def _refuse_checked(effect: Effect, column: Thing) -> None:
    # PostgreSQL rewrites the table to check a domain's constraint for the empty column.
    constraints = [thing for thing in effect.after.values() if thing.kind == "constraint"]
    if any(constraint.of == column.measures["type"] for constraint in constraints):
        raise NoSafeForm


def _renamed_column(effect: Effect, old: Thing, new: Thing, steps: _Steps) -> None:
    table, was, name = new.table, old.name, new.name
    body = (
        f"IF TG_OP = 'INSERT' THEN NEW.{name} := coalesce(NEW.{name}, NEW.{was});"
        f" NEW.{was} := NEW.{name};\n"
        f"    ELSIF NEW.{was} IS DISTINCT FROM OLD.{was} THEN NEW.{name} := NEW.{was};\n"
        f"    ELSE NEW.{was} := NEW.{name}; END IF;"
    )
    steps.expand.append(execute(f"ALTER TABLE {table} ADD COLUMN {name} {new.facts['type']}"))
    steps.expand += forms.create_trigger(table, name, body)
    fill = f"UPDATE {table} SET {name} = {was} WHERE {name} IS NULL"
    steps.backfill += forms.chunks(effect, fill)
    if new.facts["not_null"]:
        steps.constrain += forms.not_null(table, name)
    steps.contract += forms.drop_trigger(table, name)
    steps.contract.append(execute(f"ALTER TABLE {table} DROP COLUMN {was}"))


def _retyped_column(effect: Effect, old: Thing, new: Thing, steps: _Steps) -> None:
    _refuse_checked(effect, new)
    table, name, type_ = new.table, old.name, new.facts["type"]
    other = quoted(f"{bare(name)}_new")
    using = re.search(r"(?is)\bUSING\s+(.+)$", effect.sql)
    value = using[1] if using else f"{name}::{type_}"
    body = f"SELECT {value} INTO NEW.{other} FROM (SELECT NEW.*) AS row;"
    indexes = _indexes_of(effect, old)
    steps.expand.append(execute(f"ALTER TABLE {table} ADD COLUMN {other} {type_}"))
    steps.expand += forms.create_trigger(table, other, body)
    steps.backfill += forms.chunks(effect, f"UPDATE {table} SET {other} = {value}")
    if new.facts["not_null"]:
        steps.constrain += forms.not_null(table, other)
    steps.constrain += [forms.create_moved_index(index, name, other) for index in indexes]
    steps.contract += forms.drop_trigger(table, other)
    steps.contract.append(execute(f"ALTER TABLE {table} DROP COLUMN {name}"))
    steps.contract.append(execute(f"ALTER TABLE {table} RENAME COLUMN {other} TO {name}"))
    steps.contract += [_take_over(effect, index) for index in indexes]
    steps.contract += _number_as_before(new, name)


def _indexes_of(effect: Effect, column: Thing) -> list[Thing]:
    name = column.measures["name"]
    indexes = [thing for thing in effect.before.values() if thing.kind == "index"]
    return [i for i in indexes if i.of == column.of and name in i.measures["columns"]]


def _take_over(effect: Effect, index: Thing) -> str:
    """The line that gives a new index the name, and the constraint, of the one that went."""
    name = forms.moved_index(index)
    if not index.facts["backs"]:
        return execute(f"ALTER INDEX {name} RENAME TO {index.name}")
    constraint = next(
        thing
        for thing in effect.before.values()
        if thing.kind == "constraint"
        and thing.of == index.of
        and bare(thing.name) == index.facts["backs"]
    )
    kind = "PRIMARY KEY" if constraint.facts["type"] == "p" else "UNIQUE"
    add = f"ADD CONSTRAINT {constraint.name} {kind} USING INDEX {name}"
    return execute(f"ALTER TABLE {index.table} {add}")


def _number_as_before(column: Thing, name: str) -> list[str]:
    table, identity, default = column.table, column.facts["identity"], column.facts["default"]
    alter = f"ALTER TABLE {table} ALTER COLUMN {name}"
    lines = []
    if identity:
        kind = "ALWAYS" if identity == "a" else "BY DEFAULT"
        setval = f"setval(pg_get_serial_sequence('{table}', '{bare(name)}'), max({name}))"
        lines += [
            execute(f"{alter} ADD GENERATED {kind} AS IDENTITY"),
            execute(f"SELECT {setval} FROM {table}"),
        ]
    if default:
        lines.append(execute(f"{alter} SET DEFAULT {default}"))
    return lines


def _index(effect: Effect, change: Change, steps: _Steps) -> None:
    old, new = change
    thing = change.thing
    if thing.facts["backs"] or thing.measures["child"] or (old and new):
        return
    if new is None:
        steps.expand.append(forms.drop_index(thing))
        return
    parts = [
        (thing.name, thing.table)
        for key, thing in effect.after.items()
        if thing.kind == "index" and thing.measures["child"] and key not in effect.before
    ]
    if parts:
        steps.expand += forms.create_index_of_parts(new, parts)
    else:
        steps.expand.append(forms.create_index(new))


def _constraint(effect: Effect, change: Change, steps: _Steps) -> None:
    old, new = change
    if new is None:
        _dropped_constraint(change.thing, steps)
    elif old is None:
        if new.facts["type"] == "x" or new.of.startswith("type:"):
            raise NoSafeForm  # validating a domain takes a ShareLock too
        if not new.measures["child"]:
            _new_constraint(effect, new, steps)


def _dropped_constraint(old: Thing, steps: _Steps) -> None:
    if not old.measures["child"]:
        drop = execute(f"ALTER TABLE {old.table} DROP CONSTRAINT {old.name}")
        (steps.contract if old.facts["type"] == "p" else steps.expand).append(drop)


def _new_constraint(effect: Effect, new: Thing, steps: _Steps) -> None:
    table, definition = new.table, new.facts["definition"]
    add = f"ALTER TABLE {table} ADD CONSTRAINT {new.name}"
    if new.facts["type"] in ("c", "f"):
        steps.expand += [
            execute(f"{add} {definition.removesuffix(' NOT VALID')} NOT VALID"),
            execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {new.name}"),
        ]
        return
    found = re.match(r"(UNIQUE|PRIMARY KEY)[^(]*\([^)]*\)(.*)", definition)
    assert found is not None
    kind, rest = found[1], found[2].partition(" INCLUDE")[0]
    index = effect.after[new.measures["index"]].facts["definition"]
    steps.expand += [
        execute(index.replace(" INDEX ", " INDEX CONCURRENTLY ", 1)),
        execute(f"{add} {kind} USING INDEX {new.name}{rest}"),
    ]


_WRITERS: dict[str, Callable[[Effect, Change, _Steps], None]] = {
    "table": _table,
    "column": _column,
    "index": _index,
    "constraint": _constraint,
}
