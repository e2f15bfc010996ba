"""``breaks-old-code``."""

from collections.abc import Iterator

from ..model import Catalog, Dialect, Hit, Linted, Rule, Thing

_ROW_SECURITY = ("row_security", "row_security_of_owner")
_BY_NAME = ("table", "sequence", "type", "function", "extension", "schema")


def check(linted: Linted, dialect: Dialect) -> Iterator[Hit]:
    """Objects that the running code would miss after this migration, but not before it."""
    before = missing(linted.base, linted.start, dialect)
    after = missing(linted.base, linted.end, dialect)
    if not linted.migration.transaction:  # then old code sees each statement by itself
        for effect in linted.effects:
            after = missing(linted.base, effect.after, dialect) | after
    for problem in after:
        if problem in before:
            continue
        for effect in linted.effects:
            if problem in missing(linted.base, effect.after, dialect):
                yield Hit(effect, after[problem], problem[1])
                break


def missing(base: Catalog, now: Catalog, dialect: Dialect) -> dict[tuple[str, str, str], str]:
    """Missing or changed objects of ``base``: kind, table and name -> a sentence."""
    present = {(thing.kind, thing.table, thing.name): thing for thing in now.values()}
    found: dict[tuple[str, str, str], str] = {}
    for key, old in base.items():
        name = (old.kind, old.table, old.name)
        new = present.get(name)
        if old.kind in _BY_NAME and new is None and not old.facts.get("owned"):
            found[name] = f"Old code uses {old.kind} {old.name}, which {_where(now, key)}."
        elif old.kind == "label" and new is None and ("type", "", old.table) in present:
            found[name] = f"Old code writes {old.name}, which {_where(now, key)}."
        elif (
            old.kind == "function" and new and old.facts != {**new.facts, "body": old.facts["body"]}
        ):
            found[name] = f"Old code calls function {old.name}, whose properties have changed."
        elif old.kind == "table" and new is not None:
            for what in _table(old, new):
                found["table", old.name, what] = what
        elif ("table", "", old.table) not in present:
            continue  # already reported for the table
        elif old.kind == "column":
            if new is None:
                found[name] = f"Old code uses {old.table}.{old.name}, which {_where(now, key)}."
            elif what := _column(old, new, dialect):
                found[name] = what
        elif old.kind == "trigger" and _is_off(old, new or now.get(key)):
            found[name] = (
                f"Old code relies on trigger {old.name} of {old.table}, which is disabled."
            )
    for name, what in (
        *_new_columns(base, now),
        *_lost_keys(base, now),
        *_changed_rules(base, now),
    ):
        found[name] = what
    return found


def _where(now: Catalog, key: str) -> str:
    return f"is now called {now[key].name}" if key in now else "is gone"


def _is_off(old: Thing, new: Thing | None) -> bool:
    return bool(old.facts.get("enabled")) and not (new and new.facts.get("enabled"))


def _table(old: Thing, new: Thing) -> Iterator[str]:
    if any(new.facts.get(fact) and not old.facts.get(fact) for fact in _ROW_SECURITY):
        yield f"Old code no longer sees rows of {old.name} that no policy allows."
    if new.facts.get("unchecked") and not old.facts.get("unchecked"):
        yield f"Old code relies on foreign keys of {old.name}, which are disabled."
    if new.facts.get("writable") is False and old.facts.get("writable") is not False:
        yield f"Old code writes {old.name}, which is now a view that cannot be written."
    if old.facts.get("partition_of") and not new.facts.get("partition_of"):
        yield f"Old code no longer finds the rows of {old.name} in {old.facts['partition_of']}."
    if lost := set(old.facts.get("grants", ())) - set(new.facts.get("grants", ())):
        yield f"Old code loses rights on {old.name}: {', '.join(sorted(lost))}."


def _column(old: Thing, new: Thing, dialect: Dialect) -> str:
    column = f"{old.table}.{old.name}"
    if not dialect.fits(old, new):
        return (
            f"Old code reads and writes {column} as {old.facts['type']}, not {new.facts['type']}."
        )
    if new.facts.get("generated") and not old.facts.get("generated"):
        return f"Old code writes {column}, which the database now computes."
    if new.facts.get("identity") == "a" and old.facts.get("identity") != "a":
        return f"Old code writes {column}, which the database now numbers itself."
    if _has_value(old) and not _has_value(new) and new.facts.get("not_null"):
        return f"Old code omits {column}, which no longer has a default."
    return ""


def _new_columns(base: Catalog, now: Catalog) -> Iterator[tuple[tuple[str, str, str], str]]:
    tables = {thing.name for thing in base.values() if thing.kind == "table"}
    known = {(t.table, t.name) for t in base.values() if t.kind == "column"}
    filled = {t.table for t in now.values() if t.facts.get("fills_rows")}
    for key, new in now.items():
        if new.kind != "column" or new.table not in tables - filled or key in base:
            continue
        if (new.table, new.name) not in known and new.facts["not_null"] and not _has_value(new):
            what = f"Old code omits {new.table}.{new.name}, which is NOT NULL."
            yield (new.kind, new.table, new.name), what


def _lost_keys(base: Catalog, now: Catalog) -> Iterator[tuple[tuple[str, str, str], str]]:
    keyed = {thing.of for thing in now.values() if thing.facts.get("type") == "p"}
    for old in base.values():
        was_key = old.kind == "constraint" and old.facts.get("type") == "p"
        if was_key and old.of in now and old.of not in keyed:
            what = f"Old code relies on the primary key of {old.table}, which is gone."
            yield (old.kind, old.table, old.name), what


def _changed_rules(base: Catalog, now: Catalog) -> Iterator[tuple[tuple[str, str, str], str]]:
    guarded = {t.of for t in base.values() if any(t.facts.get(fact) for fact in _ROW_SECURITY)}
    for key in {**base, **now}:
        old, new = base.get(key), now.get(key)
        rule = new or old
        assert rule is not None
        if rule.of not in base or rule.of not in now or (old and new and old.facts == new.facts):
            continue
        name = (rule.kind, rule.table, rule.name)
        if rule.kind == "rule" and new and new.facts["instead"]:
            yield name, f"Old code writes {rule.table}, where rule {rule.name} does something else."
        elif rule.kind == "policy" and rule.of in guarded and not (new and _only_adds(old, new)):
            yield (
                name,
                f"Old code relies on the policies of {rule.table}, and {rule.name} restricts them.",
            )


def _only_adds(old: Thing | None, new: Thing) -> bool:
    return old is None and bool(new.facts["permissive"])


def _has_value(column: Thing) -> bool:
    facts = column.facts
    return bool(facts["default"] is not None or facts.get("identity") or facts.get("generated"))


RULE = Rule(
    code="breaks-old-code",
    title="The running code misses something",
    why="While a release rolls out, or is rolled back, old code runs on the new schema.",
    instead='Expand first, and remove the old form in a later release: phase = "contract".',
    check=check,
    family="contract",
    contract=True,
)
