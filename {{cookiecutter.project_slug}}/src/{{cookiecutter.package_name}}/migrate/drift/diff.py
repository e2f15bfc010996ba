"""The differences of two snapshots in words, with a possible cause and the action."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from .snapshot import Item, Snapshot


class Change(StrEnum):
    """The kind of a difference."""

    MISSING = "missing"
    UNEXPECTED = "unexpected"
    DIFFERENT = "different"


@dataclass(frozen=True)
class Difference:
    """One difference.

    Attributes:
        kind: as in :class:`Item`.
        name: as in :class:`Item`.
        change: whether the item is missing, unexpected or different.
        fact: the fact of the item that differs; empty for the whole item.
        expected: the expected value of the fact; None if it has none.
        found: the actual value of the fact; None if it has none.
        sentence: the difference in words.
        cause: a possible cause.
        action: what to do.
    """

    kind: str
    name: str
    change: Change
    fact: str
    expected: str | None
    found: str | None
    sentence: str
    cause: str
    action: str

    def __str__(self) -> str:
        return self.sentence


def compare(
    expected: Snapshot, found: Snapshot, *, expected_by: str = "the migrations"
) -> list[Difference]:
    """Every difference between the expected and the actual schema, by kind and name.

    The parts of a missing or unexpected table (columns, constraints, indexes, …) are not listed
    again.

    Args:
        expected_by: the source of the expected schema, in the plural: "the migrations", "the
        models".

    Raises:
        ValueError: the texts of the two databases are not comparable.
    """
    if expected.database != found.database:
        raise ValueError(
            f"A snapshot of {expected.database} cannot be compared with one of {found.database}:"
            " each version writes the catalog differently."
        )
    rights = {(item.kind, item.name): item for item in expected.items}
    haves = {(item.kind, item.name): item for item in found.items}
    _add_silent(rights, haves)
    _add_silent(haves, rights)
    missing = [item for key, item in rights.items() if key not in haves]
    unexpected = [item for key, item in haves.items() if key not in rights]
    both = [(item, haves[key]) for key, item in rights.items() if key in haves]
    differences = [
        *_whole(Change.MISSING, missing, unexpected, expected_by),
        *_whole(Change.UNEXPECTED, unexpected, missing, expected_by),
        *(
            difference
            for right, have in both
            if right.definition != have.definition
            for difference in _facts(right, have, expected.schema, found.schema, expected_by)
        ),
    ]
    with_other_parent = {one.name for one in differences if one.fact == "inherits from"}
    kept = (
        one
        for one in differences
        if one.fact != "inherited" or _holder(one.name) not in with_other_parent
    )
    return sorted(kept, key=lambda one: (one.name, one.kind, one.change, one.fact))


_Items = dict[tuple[str, str], Item]

# Kinds with implicit items, of which only unusual facts are listed: the index of a constraint, a
# partition's copy of a trigger. A complete item has this fact.
_WHOLE = {
    "schema": "",
    "default privileges": "",
    "extension member": "",
    "index": "table",
    "trigger": "definition",
}


def _add_silent(items: _Items, others: _Items) -> None:
    """Add existing objects that have no item because all their facts are defaults."""
    for key, item in others.items():
        whole = _WHOLE.get(item.kind)
        if whole is not None and whole not in item.facts:
            items.setdefault(key, Item(item.kind, item.name))


# -- Items that are missing or unexpected ----------------------------------------------------------

_HOLDERS = {"table", "foreign table", "view", "materialized view", "type", "domain"}
_HELD = {"column", "attribute", "constraint", "trigger", "rule", "policy", "identity"}


def _whole(
    change: Change, items: list[Item], others: list[Item], expected_by: str
) -> Iterator[Difference]:
    """Differences for items that only one side has; ``others`` are the other side's items."""
    holders = {item.name for item in items if item.kind in _HOLDERS}
    columns = {item.name for item in items if item.kind in ("column", "attribute")}
    for item in items:
        facts = item.facts
        if item.kind == "identity" and item.name in columns:
            continue
        if facts.get("owned by") in columns or facts.get("table") in holders:
            continue
        if item.kind in _HELD and _holder(item.name) in holders:
            continue
        twin = next((one for one in others if _could_be_renamed(item, one)), None)
        yield _whole_difference(change, item, twin, expected_by)


def _whole_difference(
    change: Change, item: Item, twin: Item | None, expected_by: str
) -> Difference:
    subject = _subject(item)
    if change is Change.MISSING:
        sentence = f"{subject} is missing"
        cause = "It was dropped or renamed by hand, or a migration was recorded without being run."
        action = "Make it again as the migration does, or write a migration that drops it."
    else:
        sentence = f"{subject} is there; {expected_by} do not make it"
        cause = "It was made by hand or by another tool, or a failed migration left it behind."
        action = "Drop it, write a migration that makes it, or exclude it by its name."
    if twin:
        cause = f"It may have been renamed: {_subject(twin)} is defined in the same way."
        action = "Rename it back, or write a migration that renames it."
    elif item.kind == "index" and item.facts.get("valid") == "no":
        cause, action = _ADVICE["valid"]
    action = action.format(name=item.name, holder=_holder(item.name), local=_local(item.name))
    return Difference(item.kind, item.name, change, "", None, None, sentence, cause, action)


def _could_be_renamed(one: Item, other: Item) -> bool:
    return (
        one.kind == other.kind
        and one.definition == other.definition
        and one.definition != ""
        and (one.kind not in _HELD or _holder(one.name) == _holder(other.name))
    )


# -- Facts that differ -----------------------------------------------------------------------------


class _Words(NamedTuple):
    """The words for a fact that has a value ({}), and for one without a value."""

    present: str
    absent: str


_WORDS: Mapping[str, _Words] = {
    "all tables": _Words("is for all tables", "is not for all tables"),
    "being detached": _Words("is being detached", "is not being detached"),
    "collation": _Words("has collation {}", "has the usual collation"),
    "compression": _Words("is compressed with {}", "is compressed as usual"),
    "cycles": _Words("starts again at its end", "stops at its end"),
    "defined": _Words("is only a name", "is defined"),
    "deterministic": _Words("is not deterministic", "is deterministic"),
    "enabled": _Words("is enabled: {}", "is enabled"),
    "enforced": _Words("is not enforced: its triggers are disabled", "is enforced"),
    "generated": _Words("is generated as {}", "is not generated"),
    "generated when read": _Words("is generated as {} when it is read", "is not generated"),
    "identity": _Words("is an identity column, generated {}", "is no identity column"),
    "inherited": _Words("is inherited", "is its own"),
    "inherits from": _Words("inherits from {}", "inherits from no table"),
    "leakproof": _Words("is leakproof", "is not leakproof"),
    "not null": _Words("is NOT NULL", "may be null"),
    "of type": _Words("is of type {}", "is of no type"),
    "owned by": _Words("is owned by column {}", "is owned by no column"),
    "owner": _Words("belongs to {}", "belongs to the usual owner"),
    "parallel": _Words("is parallel {}", "is parallel unsafe"),
    "partition": _Words("is the partition {}", "is no partition"),
    "partitioned by": _Words("is partitioned by {}", "is not partitioned"),
    "row security": _Words("has row security {}", "has row security off"),
    "security definer": _Words("runs with its owner's rights", "runs with its caller's rights"),
    "statistics target": _Words("has statistics target {}", "has the usual statistics target"),
    "storage": _Words("is stored {}", "is stored as usual"),
    "strict": _Words("returns null for null", "is also called with null"),
    "strict types": _Words("checks its types", "does not check its types"),
    "table": _Words("is on table {}", "is on no table"),
    "table is clustered on it": _Words("is used by CLUSTER", "is not used by CLUSTER"),
    "unique": _Words("is unique", "is not unique"),
    "unlogged": _Words("is unlogged: a crash empties it", "is logged"),
    "valid": _Words("is not valid", "is valid"),
    "validated": _Words("is not validated: older rows may break it", "is validated"),
    "volatility": _Words("is {}", "is volatile"),
    "without rowid": _Words("has no rowid", "has a rowid"),
}
# If one of these has a value, something is wrong, so the expected value is not mentioned.
_FAULTS = {"enabled", "enforced", "valid", "validated"}

# The possible cause of a difference in a fact, and the action. {name} is the item's name, {holder}
# its table, {local} its name within that table.
_ADVICE: Mapping[str, tuple[str, str]] = {
    "valid": (
        "CREATE INDEX CONCURRENTLY or REINDEX CONCURRENTLY failed or was interrupted.",
        "REINDEX INDEX CONCURRENTLY {name}; or drop it and run the migration's statement again.",
    ),
    "validated": (
        "It was added with NOT VALID and never validated.",
        "ALTER TABLE {holder} VALIDATE CONSTRAINT {local};",
    ),
    "enabled": (
        "ALTER TABLE … DISABLE TRIGGER, or another form of ENABLE; a bulk load may have left it.",
        "ALTER TABLE {holder} ENABLE TRIGGER {local}; or write a migration that switches it.",
    ),
    "enforced": (
        "ALTER TABLE … DISABLE TRIGGER ALL; a bulk load may have left it.",
        "ALTER TABLE {holder} ENABLE TRIGGER ALL; on both tables, then look for rows without"
        " a parent.",
    ),
    "owner": (
        "ALTER … OWNER TO, or a migration that was run as another role.",
        "Give it back to the role that migrates, which must own what it alters.",
    ),
    "version": (
        "ALTER EXTENSION … UPDATE, or a server that was upgraded.",
        "Update the extension on the other side as well.",
    ),
    "unlogged": (
        "ALTER TABLE … SET UNLOGGED or SET LOGGED.",
        "Set it back: it decides whether the rows outlive a crash.",
    ),
    "row security": (
        "ALTER TABLE … ENABLE, DISABLE, FORCE or NO FORCE ROW LEVEL SECURITY.",
        "Switch it back at once: it decides who sees which rows.",
    ),
    "body": (
        "CREATE OR REPLACE FUNCTION by hand, or a migration whose file was edited after it was "
        "run.",
        "Run the migration's statement again, or write a migration with the new body.",
    ),
    "column order": (
        "A column was dropped and added again.",
        "Name the columns wherever their order could matter; to restore it, rebuild the table.",
    ),
}
_GRANTED = "granted to "
_PRIVILEGES = (
    "GRANT or REVOKE by hand, or default privileges that the other side does not have.",
    "GRANT or REVOKE to match, or write a migration that does.",
)
_CHANGED = (
    "It was altered by hand, or a migration's file was edited after it was run.",
    "Alter it back, or write a migration that does the same.",
)


def _facts(
    right: Item, have: Item, right_schema: str, have_schema: str, expected_by: str
) -> Iterator[Difference]:
    rights, haves = right.facts, have.facts
    for fact in [*rights, *(fact for fact in haves if fact not in rights)]:
        expected, found = rights.get(fact), haves.get(fact)
        if _same(expected, right_schema, found, have_schema):
            continue
        cause, action = _PRIVILEGES if fact.startswith(_GRANTED) else _ADVICE.get(fact, _CHANGED)
        yield Difference(
            have.kind,
            have.name,
            Change.DIFFERENT,
            fact,
            expected,
            found,
            f"{_subject(have)} {_said(fact, expected, found, expected_by)}",
            cause,
            action.format(name=have.name, holder=_holder(have.name), local=_local(have.name)),
        )


def _same(expected: str | None, right_schema: str, found: str | None, have_schema: str) -> bool:
    """Whether two values are equal, with or without the schema's name in them.

    A function's body that names ``public`` may mean ``public`` in every schema.
    """
    if expected is None or found is None or expected == found:
        return expected == found
    return expected.replace("{schema}", right_schema) == found.replace("{schema}", have_schema)


def _said(fact: str, expected: str | None, found: str | None, expected_by: str) -> str:
    if fact.startswith(_GRANTED):
        who = fact.removeprefix(_GRANTED)
        return (
            f"grants {who} {_privileges(who, found)}; {expected_by} grant {who}"
            f" {_privileges(who, expected)}"
        )
    if fact in _WORDS and "\n" not in f"{expected}{found}":
        if expected is None and fact in _FAULTS:
            return _in_words(fact, found)
        return f"{_in_words(fact, found)}; by {expected_by} it {_in_words(fact, expected)}"
    if "\n" in f"{expected}{found}":
        return f"has another {fact} than {expected_by} give"
    return f"has {_value(fact, found)}; {expected_by} give {_short(expected)}"


def _in_words(fact: str, value: str | None) -> str:
    if value is None:
        return _WORDS[fact].absent
    if fact == "enabled" and value in ("no", "yes"):
        return "is disabled" if value == "no" else "is enabled where the table's own is not"
    if fact == "not null" and value != "yes":
        return f"is NOT NULL, {value.removeprefix('yes').lstrip(', ')}"
    return _WORDS[fact].present.format(_short(value))


def _privileges(who: str, granted: str | None) -> str:
    if granted is None:
        return "what is usual" if who in ("PUBLIC", "the owner") else "nothing"
    return granted


def _value(fact: str, value: str | None) -> str:
    return f"no {fact}" if value is None else f"{fact} {_short(value)}"


def _short(value: str | None) -> str:
    """A value without the type that the server adds to a literal."""
    if value is None:
        return "none"
    literal, cast, type_ = value.rpartition("::")
    plain = cast and literal.startswith("'") and literal.endswith("'") and "'" not in type_
    return literal if plain and "'" not in literal[1:-1].replace("''", "") else value


# -- Names -----------------------------------------------------------------------------------------


def _subject(item: Item) -> str:
    if item.kind == "schema":
        return "the schema"
    if item.kind == "default privileges":
        return f"the default of privileges {item.name}"
    if item.kind == "identity":
        return f"the sequence of identity column {item.name}"
    return f"{item.kind} {item.name}"


def _holder(name: str) -> str:
    return _split(name)[0]


def _local(name: str) -> str:
    return _split(name)[1]


def _split(name: str) -> tuple[str, str]:
    """The parts of ``table.column``; a quoted name may contain a dot."""
    quoted = False
    for place, letter in enumerate(name):
        if letter == '"':
            quoted = not quoted
        elif letter == "." and not quoted:
            return name[:place], name[place + 1 :]
    return name, name
