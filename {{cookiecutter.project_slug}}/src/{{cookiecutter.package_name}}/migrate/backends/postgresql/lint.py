"""Asks PostgreSQL about the effect of a statement: locks, storage, scans and the catalog.

The tables are empty, which shows the same effects in less time: PostgreSQL also counts a scan
that finds no row, and also gives an empty table new storage when it rewrites it.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine

from ...config import MigrationConfig
from ...lint.model import UNSEEN, Catalog, Effect, Thing, Watch
from .lint_catalog import read
from .lint_rewrites import rewrite as rewrite
from .lint_rewrites import undo as undo

# Locks that block other sessions, from the weakest to the strongest. AccessExclusiveLock blocks
# reads and writes, the others block only writes.
STRONG = ("ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock")
STRONGEST = STRONG[-1]
LONGEST_WAIT = 60  # seconds to wait for a lock; later queries queue behind the waiting statement

# Errors of statements that cannot run in a transaction (CREATE INDEX CONCURRENTLY, VACUUM, a
# COMMIT in a procedure), and of an enum value that is used in the transaction that adds it.
_NEED_AUTOCOMMIT = {"25001", "2D000", "55P04"}
_WITH_A_PLAN = ("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE")
_HIDE_STATEMENTS = ("DO", "CALL", "SELECT")

_LOOPS = re.compile(r"\bLOOP\b", re.IGNORECASE)
_NOT_OVER_ROWS = re.compile(
    r"\bEND\s+LOOP\b|\bFOR\s+\w+\s+IN\s+[^;]*?\.\.[^;]*?\bLOOP\b", re.IGNORECASE
)
_LIMITS = re.compile(r"\bLIMIT\b", re.IGNORECASE)
_COMMITS = re.compile(r"\bCOMMIT\b", re.IGNORECASE)

_OF_SERVER = re.compile(
    r"\s*(?:(?:CREATE|ALTER|DROP)\s+(?:ROLE|USER(?!\s+MAPPING)|GROUP|DATABASE|TABLESPACE|SUBSCRIPTION)"
    r"|ALTER\s+SYSTEM|(?:GRANT|REVOKE)(?!.*\bON\b))\b",
    re.IGNORECASE | re.DOTALL,
)

_TOKEN = re.compile(
    r"""e'(?:\\.|''|[^'\\])*' | '(?:''|[^'])*' | "(?:""|[^"])*" | \$(\w*)\$.*?\$\1\$
    | --[^\n]* | /\*.*?\*/ | (?P<end>;)""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)


@contextmanager
def connect(engine: Engine, config: MigrationConfig) -> Iterator[Connection]:
    """A connection to a scratch database; it stays in the scope's schema until it is closed."""
    with engine.connect() as connection:
        config.scope.begin(connection)
        config.scope.enter(connection, for_session=True)
        connection.commit()
        yield connection
        connection.invalidate()


def prepare(connection: Connection) -> None:
    """Let PostgreSQL plan as for large tables, and wait for a lock for at most 5 seconds."""
    # In a join a key limits the rows that are read only in a nested loop over an index. PostgreSQL
    # chooses the kind of join by statistics, which may not exist yet, so the other kinds are off.
    for plan in ("seqscan", "hashjoin", "mergejoin"):
        connection.exec_driver_sql(f"SET enable_{plan} = off")
    connection.exec_driver_sql("SET jit = off")  # it would compile each query of the catalog
    connection.exec_driver_sql("SET lock_timeout = '5s'")
    connection.commit()


def catalog(connection: Connection) -> Catalog:
    """Read the catalog, and roll back the transaction that reading it began."""
    found = read(connection.connection.dbapi_connection)
    connection.rollback()
    return found


def run(cursor: Any, statement: str, parameters: Any, many: bool, watch: Watch) -> Sequence[Effect]:
    """Execute and measure a statement. A text with several statements is split first."""
    first = parameters[0] if many and parameters else parameters
    sql = psycopg.ClientCursor(cursor.connection).mogrify(statement, first)
    texts = split(sql)
    if len(texts) > 1:
        return [_one(cursor, text, partial(cursor.execute, text), watch) for text in texts]
    execute = cursor.executemany if many else cursor.execute
    return [_one(cursor, sql.strip().rstrip(";"), lambda: execute(statement, parameters), watch)]


def changes_server(statement: str) -> bool:
    """Whether a statement changes something that all databases share: roles, other databases."""
    return bool(_OF_SERVER.match(statement))


def unseen(connection: Connection, before: Catalog, watch: Watch) -> Sequence[Effect]:
    """The effects of statements on the driver's own connection, which bypassed SQLAlchemy."""
    raw: Any = connection.connection.dbapi_connection
    after = read(raw)
    if _lasting(after) == _lasting(before):
        return ()
    measured = _Measured(UNSEEN, "", before, after, watch, alone=False)
    return (measured.effect(raw, needs_autocommit=False),)


def _lasting(catalog: Catalog) -> dict[str, Any]:
    return {
        key: (thing.name, thing.facts, thing.measures.get("file"))
        for key, thing in catalog.items()
        if thing.kind != "lock"
    }


def split(sql: str) -> list[str]:
    """The statements of a text. A body with semicolons (BEGIN ATOMIC) is not split."""
    if re.search(r"\bBEGIN\s+ATOMIC\b", sql, re.IGNORECASE):
        return [sql]
    ends = [m.start() for m in _TOKEN.finditer(sql) if m["end"]]
    bounds = zip([0, *(end + 1 for end in ends)], [*ends, len(sql)], strict=True)
    texts = [sql[begin:end].strip() for begin, end in bounds]
    return [
        text for text in texts if _TOKEN.sub(lambda m: m[0] * (m[0][0] not in "-/"), text).strip()
    ]


def _one(cursor: Any, sql: str, execute: Callable[[], Any], watch: Watch) -> Effect:
    raw = cursor.connection
    if changes_server(sql):
        known = read(raw)
        return Effect(sql, watch.line, "", watch.existing, known, known, changes_server=True)
    outside = raw.autocommit
    alone = False
    if outside:
        raw.execute("BEGIN")
    before = read(raw)
    raw.execute("SAVEPOINT lint")
    try:
        execute()
        raw.execute("RELEASE SAVEPOINT lint")
    except psycopg.Error as error:
        if error.sqlstate not in _NEED_AUTOCOMMIT:
            if outside:
                raw.execute("ROLLBACK")
            raise
        alone = True
        _alone(raw, execute)
    if outside and alone:
        raw.execute("BEGIN")
    after = read(raw)
    effect = _Measured(sql, cursor.statusmessage or "", before, after, watch, alone).effect(
        raw, needs_autocommit=alone and not outside
    )
    if outside:
        raw.execute("COMMIT")
    return effect


def _alone(raw: Any, execute: Callable[[], Any]) -> None:
    # This commits the earlier changes, which is harmless: the schema is dropped afterwards.
    outside = raw.autocommit
    raw.execute("ROLLBACK TO SAVEPOINT lint")
    raw.execute("COMMIT")
    raw.autocommit = True
    try:
        execute()
    finally:
        raw.autocommit = outside


class _Measured:
    """The catalogs before and after a statement, and the effect that they show."""

    def __init__(
        self, sql: str, status: str, before: Catalog, after: Catalog, watch: Watch, alone: bool
    ) -> None:
        self.sql = sql
        self.command = re.sub(r"[\d ]*$", "", status)
        self.before, self.after = before, after
        self.watch = watch
        self.alone = alone
        self.indexes_before, self.indexes = _indexes(before), _indexes(after)
        self.tables = {key: before[key] for key in watch.existing if key in before and key in after}

    def effect(self, raw: Any, *, needs_autocommit: bool) -> Effect:
        emptied = {key for key in self.tables if self._is_emptied(key)}
        rewritten = {key for key in self.tables if self._has_new_storage(key)} - emptied
        indexed = set(self._indexed()) - rewritten - emptied
        scanned = {key for key in self.tables if self._scans(key)} | set(self._checked())
        scanned -= rewritten | emptied | indexed
        plan = self._plan(raw)
        touched = self._touched(plan, scanned) - rewritten
        if plan is not None:
            scanned &= self._defined()  # scans of other tables have a limit, or count as touched
        elif self.command == "SELECT" and not self.alone:
            # CREATE … AS: PostgreSQL does not show its plan.
            scanned |= {key for key in self.tables if self._is_read(key)}
        changed = {
            (old or new).of
            for old, new in self._changes()
            if old is None
            or new is None
            or not new.facts.get("validated")
            or old.facts["validated"]
        }
        owned = rewritten | indexed | emptied | changed
        locks = self._locks(owned, rewritten, indexed)
        held = self._held(locks)
        self._remember()
        limit = self.after["setting:lock_timeout"]
        waits = "without end" if not limit.measures["seconds"] else f"for {limit.name}"
        brief = 0 < limit.measures["seconds"] <= LONGEST_WAIT
        return Effect(
            sql=self.sql,
            line=self.watch.line,
            command=self.command,
            existing=self.watch.existing,
            before=self.before,
            after=self.after,
            locks={self._name(key): mode for key, mode in locks.items()},
            held={self._name(key): by for key, by in held.items()},
            rewritten=self._names(rewritten),
            scanned=self._names(scanned - touched),
            indexed=self._names(indexed),
            emptied=self._names(emptied),
            touched=self._names(touched),
            needs_autocommit=needs_autocommit,
            waits=waits if locks and not brief else "",
        )

    def _name(self, key: str) -> str:
        return (self.before.get(key) or self.after.get(key) or self.watch.base[key]).name

    def _names(self, keys: set[str]) -> frozenset[str]:
        return frozenset(map(self._name, keys))

    def _changes(self) -> Iterator[tuple[Any, Any]]:
        for key in {**self.before, **self.after}:
            old, new = self.before.get(key), self.after.get(key)
            thing = old or new
            if thing is None or thing.of not in self.watch.existing or thing.kind == "lock":
                continue
            if old is None or new is None or (old.name, old.facts) != (new.name, new.facts):
                yield old, new

    def _has_new_storage(self, key: str) -> bool:
        old, new = self.before.get(key), self.after.get(key)
        return bool(old and new and old.measures["file"] != new.measures["file"])

    def _scans(self, key: str) -> int:
        before, after = self.before.get(key), self.after.get(key)
        count = after.measures["scans"] if after else 0
        return int(count - (before.measures["scans"] if before else 0))

    def _is_read(self, table: str) -> bool:
        return any(map(self._scans, (table, *self.indexes[table])))

    def _is_emptied(self, key: str) -> bool:
        # TRUNCATE gives new storage without reading the old one, and rebuilds each index.
        old, new = self.tables[key], self.after[key]
        if self.alone or not self._has_new_storage(key) or old.facts["kind"] != "r":
            return False
        if old.measures["tablespace"] != new.measures["tablespace"]:
            return False
        indexes = self.indexes_before[key]
        if any(self._scans(index) for index in indexes):
            return False
        return self._scans(key) == sum(map(self._has_new_storage, indexes))

    def _indexed(self) -> Iterator[str]:
        files = {t.measures["file"] for t in self.before.values() if t.kind == "index"}
        for key in self.tables:
            for index in self.indexes[key]:
                is_new = index not in self.before and self._is_built(key, index)
                if self._has_new_storage(index) or (
                    is_new and self.after[index].measures["file"] not in files - {None}
                ):
                    yield key

    def _is_built(self, table: str, index: str) -> bool:
        # An index of a partitioned table is built on the partitions, if there are any.
        name = self.tables[table].name
        parts = (t.facts.get("partition_of") == name for t in self.after.values())
        return self.tables[table].facts["kind"] != "p" or not any(parts)

    def _locks(self, owned: set[str], rewritten: set[str], indexed: set[str]) -> dict[str, str]:
        # The statement ran outside a transaction, so its locks are released already. Its effects
        # imply them: an index with new storage ShareLock, a rewritten table AccessExclusiveLock.
        if self.alone:
            rebuilt = {
                k for k in indexed if any(map(self._has_new_storage, self.indexes_before[k]))
            }
            return dict.fromkeys(rebuilt, STRONG[0]) | dict.fromkeys(rewritten, STRONGEST)
        found: dict[str, str] = {}
        for key, lock in self.after.items():
            if lock.kind != "lock" or lock.name not in STRONG or lock.of not in self.watch.existing:
                continue
            if lock.of not in self.after:
                continue  # dropped
            if self.after[lock.of].facts["kind"] == "m" and lock.name != STRONGEST:
                continue  # no statement writes to a materialized view
            if key not in self.before or lock.of in owned:
                found[lock.of] = max(found.get(lock.of, ""), lock.name, key=_strength)
        return found

    def _held(self, locks: dict[str, str]) -> dict[str, tuple[str, str]]:
        found: dict[str, tuple[str, str]] = {}
        names = {thing.name for thing in self.after.values() if thing.kind == "table"}
        for key, lock in self.before.items():
            if lock.kind != "lock" or lock.name not in STRONG or key not in self.watch.taken:
                continue
            if lock.of not in self.after and self._name(lock.of) not in names:
                continue  # dropped: nobody waits for it, unless a new table has its name
            strongest = max(locks.get(lock.of, ""), found.get(lock.of, ("",))[0], key=_strength)
            if _strength(lock.name) > _strength(strongest):
                found[lock.of] = (lock.name, self.watch.taken[key])
        return found

    def _remember(self) -> None:
        locks = {
            key
            for key, lock in self.after.items()
            if lock.kind == "lock" and lock.of in self.watch.existing
        }
        self.watch.taken = {
            key: self.watch.taken.get(key, self.sql) if key in self.before else self.sql
            for key in locks
        }

    def _checked(self) -> Iterator[str]:
        # A foreign key is checked by a query, which may read indexes instead of tables.
        for key, new in self.after.items():
            if new.facts.get("type") != "f" or not new.facts["validated"]:
                continue
            if key in self.before and self.before[key].facts["validated"]:
                continue
            both = (new.of, new.measures["target"])
            indexes = [index for table in both for index in self.indexes_before[table]]
            if new.of in self.tables and any(map(self._scans, (*both, *indexes))):
                yield new.of

    def _defined(self) -> set[str]:
        """Tables whose definition this statement or an earlier one of the transaction changes."""
        return {lock.of for lock in self.after.values() if lock.name in STRONG}

    def _plan(self, raw: Any) -> Any:
        return None if self.alone or self.command not in _WITH_A_PLAN else _plan(raw, self.sql)

    def _touched(self, plan: Any, scanned: set[str]) -> set[str]:
        touched = set()
        if plan is not None:
            unique = {t.name for t in self.after.values() if t.facts.get("unique")}
            names = set(_unbounded(plan, unique))
            touched = {
                key
                for key, table in self.tables.items()
                if (table.measures["schema"], table.measures["name"]) in names
            }
        if self.command in _HIDE_STATEMENTS and not _COMMITS.search(self.sql):
            # PostgreSQL does not show the plans inside a function: its scan counters are used.
            locks = [lock for lock in self.after.values() if lock.kind == "lock"]
            defined = self._defined()  # scans of these are reported already
            writes = {lock.of for lock in locks if lock.name == "RowExclusiveLock"}
            holds = writes | {lock.of for lock in locks if lock.name == "RowShareLock"}
            slow = {
                self.after[index].of
                for table in holds
                for index in self.indexes[table]
                if self._scans(index) and not self.after[index].facts["unique"]
            }
            touched |= (holds & set(self.tables) & (scanned | slow)) - defined
            # A loop over an empty table never runs its body, so the worst case is assumed.
            if _LOOPS.search(_NOT_OVER_ROWS.sub("", self.sql)) and not _LIMITS.search(self.sql):
                read = {key for key in self.tables if self._is_read(key)}
                touched |= read - writes - defined
        return touched


def _indexes(catalog: Catalog) -> dict[str, list[str]]:
    """The keys of each table's indexes."""
    found: dict[str, list[str]] = defaultdict(list)
    for key, thing in catalog.items():
        if thing.kind == "index":
            found[thing.of].append(key)
    return found


def _strength(mode: str) -> int:
    return STRONG.index(mode) if mode in STRONG else -1


def _plan(raw: Any, sql: str) -> Any:
    raw.execute("SAVEPOINT lint_plan")
    try:
        ((plan,),) = raw.execute(f"EXPLAIN (FORMAT JSON, VERBOSE) {sql}").fetchall()
        return plan[0]["Plan"]
    except psycopg.Error:  # for example CREATE TABLE AS, whose command tag is SELECT too
        return None
    finally:
        raw.execute("ROLLBACK TO SAVEPOINT lint_plan")
        raw.execute("RELEASE SAVEPOINT lint_plan")


def _unbounded(node: Any, unique: set[str], *, bounded: bool = False) -> Iterator[tuple[str, str]]:
    """Schema and name of each table that a plan reads without a limit and without a key."""
    kind = node["Node Type"]
    bounded = bounded or kind == "Limit" or node.get("Strategy") == "Plain"  # an aggregate
    if kind.endswith("Scan") and "Relation Name" in node and not bounded:
        scan = node["Plans"][0] if kind == "Bitmap Heap Scan" else node
        if not _has_key(scan, unique, is_inner=node.get("Parent Relationship") == "Inner"):
            yield node["Schema"], node["Relation Name"]
    for child in node.get("Plans", ()):
        is_part = child.get("Parent Relationship") not in ("InitPlan", "SubPlan")
        if is_part or child.get("Subplan Name", "").startswith("CTE"):
            yield from _unbounded(child, unique, bounded=bounded)


def _has_key(scan: Any, unique: set[str], *, is_inner: bool) -> bool:
    condition = re.sub(r"'(?:''|[^'])*'", "", scan.get("Index Cond", scan.get("TID Cond", "")))
    if (
        "Index Name" in scan
        and not is_inner
        and not any(name.rpartition(".")[2].strip('"') == scan["Index Name"] for name in unique)
    ):
        return False
    return " = " in condition or (">" in condition and "<" in condition)


_WIDTHS: tuple[tuple[str, ...], ...] = (
    ("smallint", "integer", "bigint"),
    ("real", "double precision"),
    ("json", "jsonb"),
)


def fits(old: Thing, new: Thing) -> bool:
    """Whether code for a column's old type can read and write the new one."""
    before, after = (one.facts["base"] or one.facts["type"] for one in (old, new))
    for family in _WIDTHS:
        if before in family and after in family:
            return family.index(before) <= family.index(after)
    if before.startswith("character") and after == "text":
        return True
    kind, size = _sized(before)
    other, room = _sized(after)
    if kind != other:
        return bool(before == after)
    if not room:
        return True
    if not size:
        return False
    digits, scale = (*size, 0)[:2]
    more_digits, more_scale = (*room, 0)[:2]
    return scale <= more_scale and digits - scale <= more_digits - more_scale


def _sized(type_: str) -> tuple[str, tuple[int, ...]]:
    sizes = tuple(int(n) for n in re.findall(r"\d+", "".join(re.findall(r"\([\d,]+\)", type_))))
    return re.sub(r"\([\d,]+\)", "", type_), sizes
