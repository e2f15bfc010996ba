"""The triggers that keep two columns equal."""

# They run after the row is written, because a trigger of SQLite cannot change it before. A row is
# in step if one value can be computed from the other: a conversion that loses information must not
# be copied back. The write of one trigger fires the other, which then finds the row in step.
_INSERTED = """
CREATE TRIGGER "{name}_insert" AFTER INSERT ON "{table}" BEGIN
    UPDATE "{table}" SET "{new}" = {to_new} WHERE rowid = NEW.rowid AND NEW."{new}" IS NULL;
    UPDATE "{table}" SET "{old}" = {to_old} WHERE rowid = NEW.rowid
        AND NEW."{new}" IS NOT NULL AND "{new}" IS NOT ({to_new}) AND "{old}" IS NOT ({to_old});
END
"""
_UPDATED = """
CREATE TRIGGER "{name}_update" AFTER UPDATE OF "{old}", "{new}" ON "{table}" BEGIN
    UPDATE "{table}" SET "{old}" = {to_old} WHERE rowid = NEW.rowid
        AND NEW."{new}" IS NOT OLD."{new}"
        AND "{new}" IS NOT ({to_new}) AND "{old}" IS NOT ({to_old});
    UPDATE "{table}" SET "{new}" = {to_new} WHERE rowid = NEW.rowid
        AND NEW."{new}" IS OLD."{new}" AND "{old}" IS NOT ({to_old})
        AND ("{new}" IS NULL OR NEW."{old}" IS NOT OLD."{old}");
END
"""


def keep_in_step(table: str, old: str, new: str, *, to_new: str, to_old: str) -> list[str]:
    """Statements that create the triggers."""
    parts = {"name": f"{table}_{old}_{new}_in_step", "table": table, "old": old, "new": new}
    parts |= {"to_new": to_new, "to_old": to_old}
    return [part.format(**parts).strip() for part in (_INSERTED, _UPDATED)]


def stop_keeping(table: str, old: str, new: str) -> list[str]:
    """Statements that remove them."""
    name = f"{table}_{old}_{new}_in_step"
    return [f'DROP TRIGGER IF EXISTS "{name}_{event}"' for event in ("insert", "update")]
