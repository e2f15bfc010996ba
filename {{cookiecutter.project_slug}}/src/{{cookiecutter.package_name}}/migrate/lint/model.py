"""The types of linting: migrations, effects of statements, rules, findings."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sqlalchemy import Connection

if TYPE_CHECKING:
    from alembic.script import Script


@dataclass(frozen=True)
class Migration:
    """A migration to lint.

    Attributes:
        path: the path of its file for findings.
        upgrade, downgrade: its bodies. A body that runs outside a transaction enters
            ``op.get_context().autocommit_block()`` itself; the engine's loader arranges this.
        phase: ``expand``, ``backfill`` or ``contract``.
        transaction: whether it runs in a transaction.
        ignores: code -> reason, for the findings that its author accepts.
    """

    name: str
    path: str
    upgrade: Callable[[], object]
    downgrade: Callable[[], object]
    phase: str = "expand"
    transaction: bool = True
    ignores: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, script: "Script", name: str) -> "Migration":
        """The migration in a file that Alembic has loaded."""
        module = script.module
        return cls(
            name,
            script.path,
            module.upgrade,
            getattr(module, "downgrade", lambda: None),
            getattr(module, "phase", "expand"),
            getattr(module, "transaction", True),
            getattr(module, "lint_ignore", {}),
        )


@dataclass(frozen=True)
class Thing:
    """One object of the database.

    Attributes:
        kind: ``table`` (views too), ``column``, ``index``, ``constraint``, ``trigger``, …
        name: its name in SQL, with its schema only if the search path does not find it.
        of: the key of its table (or type); for a table, its own key.
        table: the name of that table.
        facts: its properties.
        measures: the database's counters: its storage, its number of scans.
    """

    kind: str
    name: str
    of: str
    table: str
    facts: Mapping[str, Any]
    measures: Mapping[str, Any] = field(default_factory=dict)


Catalog = Mapping[str, Thing]  # by a key that a rename does not change


class Change(NamedTuple):
    """An object before and after a statement; None where it is not there."""

    old: Thing | None
    new: Thing | None

    @property
    def thing(self) -> Thing:
        """The current object or, if it is gone, the former one."""
        thing = self.new or self.old
        assert thing is not None
        return thing


@dataclass(frozen=True)
class Effect:
    """The effect of one statement on tables that existed before the run, without small ones.

    Attributes:
        line: the line of the migration's file that ran it.
        command: the database's name for it: ``ALTER TABLE``.
        locks: table -> the strongest lock that the statement took, if others wait for it.
        held: table -> the lock of an earlier statement of the transaction, and that statement.
        rewritten: tables whose rows were all rewritten.
        scanned: tables that were read completely.
        indexed: tables on which an index was built.
        emptied: truncated tables.
        touched: tables whose rows were changed or fetched without a limiting key.
        needs_autocommit: whether it cannot run in a transaction.
        waits: how long it may wait for a lock, if that is too long.
        changes_server: whether it was not executed because it changes more than the scratch
        database.
    """

    sql: str
    line: int | None
    command: str
    existing: frozenset[str]
    before: Catalog
    after: Catalog
    locks: Mapping[str, str] = field(default_factory=dict)
    held: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    rewritten: frozenset[str] = frozenset()
    scanned: frozenset[str] = frozenset()
    indexed: frozenset[str] = frozenset()
    emptied: frozenset[str] = frozenset()
    touched: frozenset[str] = frozenset()
    needs_autocommit: bool = False
    waits: str = ""
    changes_server: bool = False

    @property
    def worked_on(self) -> frozenset[str]:
        """Tables for which its duration grows with their number of rows."""
        return self.rewritten | self.scanned | self.indexed | self.touched

    def changes(self, *kinds: str) -> list[Change]:
        """The changes on existing tables, by key."""
        keys = {**self.before, **self.after}
        changes = [Change(self.before.get(key), self.after.get(key)) for key in keys]
        return [change for change in changes if self._counts(change, kinds)]

    def _counts(self, change: Change, kinds: tuple[str, ...]) -> bool:
        old, new = change
        thing = old or change.thing
        return (
            (thing.kind in kinds if kinds else thing.kind not in _NOT_MADE)
            and (thing.of in self.existing or not thing.of.startswith("table:"))
            and (old is None or new is None or (old.name, old.facts) != (new.name, new.facts))
        )


_NOT_MADE = {"lock", "setting"}
UNSEEN = (
    "-- on the driver's own connection"  # stands for statements of which only the effects are known
)


@dataclass(frozen=True)
class Step:
    """One migration file of a safe rewrite.

    Attributes:
        lines: the body of ``upgrade()``.
        when: the precondition for running it.
    """

    lines: tuple[str, ...]
    transaction: bool = True
    phase: str = "expand"
    when: str = ""

    def code(self) -> str:
        """The file, without its header."""
        attributes = [f"# {self.when}"] * bool(self.when)
        attributes += [f'phase = "{self.phase}"'] * (self.phase != "expand")
        attributes += ["transaction = False"] * (not self.transaction)
        body = [f"    {line}" if line else "" for line in "\n".join(self.lines).split("\n")]
        head = [*attributes, "", ""] if attributes else []
        return "\n".join([*head, "def upgrade() -> None:", *body]) + "\n"


Rewrite = tuple[Step, ...]


@dataclass
class Linted:
    """One migration after its run.

    Attributes:
        base: the database before the run, which old code knows.
        start: the database before this migration.
        snapshot: the whole schema before this migration.
        failure: the error if it failed.
        undo: faults of the downgrade, each as a sentence.
        undo_code: the missing lines of the downgrade.
        was_undone: whether its downgrade ran without a fault.
        earlier_contract: an earlier migration of the same run whose phase is ``contract``.
    """

    migration: Migration
    base: Catalog
    start: Catalog
    effects: list[Effect] = field(default_factory=list)
    snapshot: Any = None
    failure: str | None = None
    undo: list[str] = field(default_factory=list)
    undo_code: tuple[str, ...] = ()
    was_undone: bool = False
    earlier_contract: str | None = None

    @property
    def end(self) -> Catalog:
        """The database after this migration."""
        return self.effects[-1].after if self.effects else self.start


@dataclass(frozen=True)
class Hit:
    """A place where a rule found something.

    Attributes:
        effect: the statement; None for the whole migration.
        detail: a sentence about this case.
        rewrite: the safe form as code, one text for each file; None means the dialect's own.
    """

    effect: Effect | None
    detail: str
    table: str = ""
    lock: str = ""
    rewrite: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Rule:
    """A kind of problem of a migration.

    Attributes:
        code: its stable name.
        title: the problem, in one line.
        why: why it hurts, in one sentence.
        instead: what to do instead, in one sentence.
        check: the function that finds it.
        family: if several rules of one family find the same statement, the first reports it
            and names the others.
        contract: whether ``phase = "contract"`` allows it.
    """

    code: str
    title: str
    why: str
    instead: str
    check: Callable[[Linted, "Dialect"], Iterator[Hit]]
    family: str = ""
    contract: bool = False


@dataclass(frozen=True)
class Finding:
    """Something to change, or a notice.

    Attributes:
        codes: the rule's code, then the codes of other rules of its family.
        statement, line: empty if it is about the whole migration.
        lock: the database's name for the lock.
        rewrite: the safe form as Alembic code, one text for each file.
        reason: the reason if it is accepted.
    """

    codes: tuple[str, ...]
    migration: str
    path: str
    detail: str
    why: str
    instead: str
    statement: str = ""
    line: int | None = None
    table: str = ""
    lock: str = ""
    rewrite: tuple[str, ...] = ()
    notice: bool = False
    reason: str | None = None

    @property
    def code(self) -> str:
        """The code of its rule."""
        return self.codes[0]


@dataclass(frozen=True)
class Report:
    """The result of linting.

    Attributes:
        linted: names of the migrations that ran.
        findings: problems to correct.
        notices: information that needs no change.
        silenced: findings that ``lint_ignore`` accepts.
    """

    linted: tuple[str, ...]
    findings: tuple[Finding, ...]
    notices: tuple[Finding, ...] = ()
    silenced: tuple[Finding, ...] = ()

    @property
    def success(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


class Dialect(Protocol):
    """The database's part of linting: the module ``backends/<database>/lint.py``."""

    def prepare(self, connection: Connection) -> None:
        """Set up a connection before the first statement."""

    def catalog(self, connection: Connection) -> Catalog:
        """Read the catalog."""

    def run(
        self, cursor: Any, statement: str, parameters: Any, many: bool, watch: "Watch"
    ) -> Sequence[Effect]:
        """Execute a statement of a migration, and return its effect."""

    def changes_server(self, statement: str) -> bool:
        """Whether a statement changes something that all databases of the server share."""

    def unseen(self, connection: Connection, before: Catalog, watch: "Watch") -> Sequence[Effect]:
        """The effects of statements that bypassed SQLAlchemy, since the last seen statement."""

    def fits(self, old: Thing, new: Thing) -> bool:
        """Whether code for a column's old type can read and write the new one."""

    def rewrite(self, effect: Effect) -> Rewrite:
        """The safe form of a statement; empty if there is none."""

    def undo(self, kind: str, thing: Thing) -> str:
        """The line that drops an object that an upgrade created."""


class Snapshots(Protocol):
    """Describes a whole schema, and compares two descriptions."""

    def take(self, connection: Connection) -> Any:
        """Describe the schema; does not end the connection's transaction."""

    def compare(self, before: Any, after: Any) -> Sequence[str]:
        """The differences, each as a sentence."""


@dataclass
class Watch:
    """The state while migrations run.

    Attributes:
        existing: keys of the tables to watch.
        base: the database before the first migration.
        taken: lock -> the statement that took it, in this transaction.
        renamed: key with the current name -> original key, for a database that identifies objects
            by name.
    """

    existing: frozenset[str]
    base: Catalog = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    line: int | None = None


# -- Statements as code --------------------------------------------------------------------------


def as_code(linted: Linted) -> tuple[str, ...]:
    """A migration's statements as code, as they ran."""
    return tuple(execute(effect.sql) for effect in linted.effects)


def execute(sql: str) -> str:
    """``op.execute`` of a statement."""
    return f"op.execute({text(sql)})"


def text(sql: str, *parameters: str) -> str:
    """A statement as a Python literal, with escaped colons, so that they are not parameters."""
    names = "|".join(parameters) or "(?!)"
    escaped = sql.replace("\\", "\\\\")
    escaped = re.sub(rf"(?<!:):(?=\w)(?!(?:{names})\b)", r"\\\\:", escaped)
    if "\n" in escaped or ('"' in escaped and "'" in escaped):
        return f'"""{escaped}{" " * escaped.endswith(chr(34))}"""'
    return f"'{escaped}'" if '"' in escaped else f'"{escaped}"'
