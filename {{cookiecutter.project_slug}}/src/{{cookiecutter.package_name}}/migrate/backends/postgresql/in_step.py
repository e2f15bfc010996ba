"""The trigger that keeps two columns equal."""

from zlib import crc32

NAME_BYTES = 63  # PostgreSQL silently cuts longer names

# It changes the row before it is written, so "old" may be NOT NULL. Values are compared as text,
# because not every type has an equality operator. A row is in step if one value can be computed
# from the other: a conversion that loses information must not be copied back.
_FUNCTION = """
CREATE FUNCTION "{name}"() RETURNS trigger LANGUAGE plpgsql AS $in_step$
DECLARE
    forward record := NEW;
    back record := NEW;
BEGIN
    forward."{new}" := (SELECT {to_new} FROM (SELECT NEW.*) AS "row");
    back."{old}" := (SELECT {to_old} FROM (SELECT NEW.*) AS "row");
    IF forward."{new}"::text IS NOT DISTINCT FROM NEW."{new}"::text THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' THEN
        RETURN CASE WHEN NEW."{new}" IS NULL THEN forward ELSE back END;
    END IF;
    IF NEW."{new}"::text IS DISTINCT FROM OLD."{new}"::text THEN
        RETURN back;
    END IF;
    IF NEW."{new}" IS NULL OR NEW."{old}"::text IS DISTINCT FROM OLD."{old}"::text
        AND NEW."{old}"::text IS DISTINCT FROM back."{old}"::text THEN
        RETURN forward;
    END IF;
    RETURN NEW;
END $in_step$
"""
_TRIGGER = """
CREATE TRIGGER "{name}" BEFORE INSERT OR UPDATE ON "{table}"
FOR EACH ROW EXECUTE FUNCTION "{name}"()
"""


def keep_in_step(table: str, old: str, new: str, *, to_new: str, to_old: str) -> list[str]:
    """Statements that create the trigger."""
    parts = {"name": _name(table, old, new), "table": table, "old": old, "new": new}
    parts |= {"to_new": to_new, "to_old": to_old}
    return [part.format(**parts).strip() for part in (_FUNCTION, _TRIGGER)]


def stop_keeping(table: str, old: str, new: str) -> list[str]:
    """Statements that remove it."""
    name = _name(table, old, new)
    return [
        f'DROP TRIGGER IF EXISTS "{name}" ON "{table}"',
        f'DROP FUNCTION IF EXISTS "{name}"()',
    ]


def _name(table: str, old: str, new: str) -> str:
    name = f"{table}_{old}_{new}_in_step"
    if len(name.encode()) <= NAME_BYTES:
        return name
    return f"in_step_{crc32(name.encode()):08x}"
