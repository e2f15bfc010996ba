"""What is linted, what a statement did, and what is said about it."""

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
        path: its file, as findings shall name it.
        upgrade, downgrade: its bodies. One that runs outside a transaction enters
            ``op.get_context().autocommit_block()`` itself, as the engine's loader makes it.
        phase: ``expand``, ``backfill`` or ``contract``.
        transaction: whether it runs in a transaction.
        ignores: code -> reason: the findings that its author knows and accepts.
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
        name: as SQL writes it, with its schema only where the search path does not find it.
        of: the key of the table (or type) that it belongs to; a table's own key.
        table: the name of that table.
        facts: what makes it what it is.
        measures: what the database counts: where it is stored, how often it was scanned.
    """

    kind: str
    name: str
    of: str
    table: str
    facts: Mapping[str, Any]
    measures: Mapping[str, Any] = field(default_factory=dict)


Catalog = Mapping[str, Thing]  # by an identity that a rename does not change


class Change(NamedTuple):
    """An object before and after a statement; None where it is not there."""

    old: Thing | None
    new: Thing | None

    @property
    def thing(self) -> Thing:
        """The object as it is now or, where it is gone, as it was."""
        thing = self.new or self.old
        assert thing is not None
        return thing


@dataclass(frozen=True)
class Effect:
    """What one statement did. Tables are those that were there before the run, small ones aside.

    Attributes:
        line: the line of the migration's file that ran it.
        command: what the database calls it: ``ALTER TABLE``.
        locks: table -> the strongest lock that the statement took, where others wait for it.
        held: table -> the lock that an earlier statement of the transaction took, and which.
        rewritten: tables that were written anew, row by row.
        scanned: tables that were read whole.
        indexed: tables of which an index was built.
        emptied: tables that were truncated.
        touched: tables of which rows were changed, or fetched, without a key that bounds them.
        needs_autocommit: the transaction was in the statement's way.
        waits: how long it may wait for a lock, where that is too long.
        changes_server: it was not executed, since it changes more than the scratch database.
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
        """Tables on which it works the longer, the more rows they have."""
        return self.rewritten | self.scanned | self.indexed | self.touched

    def changes(self, *kinds: str) -> list[Change]:
        """What differs on tables that were there before, by its identity."""
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
    "-- on the driver's own connection"  # what stands for statements that only their effects tell
)


@dataclass(frozen=True)
class Step:
    """One migration file of a safe rewrite.

    Attributes:
        lines: the body of ``upgrade()``.
        when: what must have happened before it runs.
    """

    lines: tuple[str, ...]
    transaction: bool = True
    phase: str = "expand"
    when: str = ""

    def code(self) -> str:
        """The file, without its head."""
        attributes = [f"# {self.when}"] * bool(self.when)
        attributes += [f'phase = "{self.phase}"'] * (self.phase != "expand")
        attributes += ["transaction = False"] * (not self.transaction)
        body = [f"    {line}" if line else "" for line in "\n".join(self.lines).split("\n")]
        head = [*attributes, "", ""] if attributes else []
        return "\n".join([*head, "def upgrade() -> None:", *body]) + "\n"


Rewrite = tuple[Step, ...]


@dataclass
class Linted:
    """One migration, after it ran.

    Attributes:
        base: the database before the run: what old code knows.
        start: the database before this migration.
        snapshot: the schema before this migration, whole.
        failure: why it could not be run.
        undo: what the downgrade did not do, each in a sentence.
        undo_code: the lines that the downgrade lacks.
        was_undone: its downgrade was run, and did all of it.
        earlier_contract: the migration of the same run before it whose phase is ``contract``.
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
        """The database after it."""
        return self.effects[-1].after if self.effects else self.start


@dataclass(frozen=True)
class Hit:
    """Where a rule found something.

    Attributes:
        effect: the statement; None when it is the whole migration.
        detail: what it is, in this case.
        rewrite: the safe form as code, one text for each file; the database's own when None.
    """

    effect: Effect | None
    detail: str
    table: str = ""
    lock: str = ""
    rewrite: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Rule:
    """What can be wrong with a migration.

    Attributes:
        code: its stable name.
        title: what it is, in one line.
        why: why it hurts, in one sentence.
        instead: what to do instead, in one sentence.
        check: finds it.
        family: of several rules of one family that find the same statement, the first says it
            and the others are named beside it.
        contract: whether it is what ``phase = "contract"`` is for.
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
        codes: the rule's code first, then those of the same family that it brings with it.
        statement, line: empty when it is about the migration as a whole.
        lock: the lock in the database's own word.
        rewrite: the safe form as Alembic code, one text for each file.
        reason: why it is accepted; then it is no finding any more.
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
    """What linting found.

    Attributes:
        linted: names of the migrations that were run.
        findings: what should be changed first.
        notices: what is good to know.
        silenced: what ``lint_ignore`` accepts.
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
    """What linting asks of a database: the module ``backends/<database>/lint.py``."""

    def prepare(self, connection: Connection) -> None:
        """Set up a connection before the first statement."""

    def catalog(self, connection: Connection) -> Catalog:
        """Read the catalog."""

    def run(
        self, cursor: Any, statement: str, parameters: Any, many: bool, watch: "Watch"
    ) -> Sequence[Effect]:
        """Execute a statement of a migration, and tell what it did."""

    def changes_server(self, statement: str) -> bool:
        """Whether a statement changes what all databases of the server share."""

    def unseen(self, connection: Connection, before: Catalog, watch: "Watch") -> Sequence[Effect]:
        """What a migration did past SQLAlchemy, since the last statement that was seen."""

    def fits(self, old: Thing, new: Thing) -> bool:
        """Whether code that knows a column's old type reads and writes the new one."""

    def rewrite(self, effect: Effect) -> Rewrite:
        """The safe form of a statement; nothing when there is none."""

    def undo(self, kind: str, thing: Thing) -> str:
        """The line that drops what an upgrade left behind."""


class Snapshots(Protocol):
    """How a whole schema is described, and two descriptions compared."""

    def take(self, connection: Connection) -> Any:
        """Describe the schema; the connection's transaction stays as it is."""

    def compare(self, before: Any, after: Any) -> Sequence[str]:
        """What differs, each in a sentence."""


@dataclass
class Watch:
    """What is known while migrations run.

    Attributes:
        existing: keys of the tables to watch.
        base: the database before the first of them.
        taken: lock -> the statement that took it, in this transaction.
        renamed: key by the present name -> key, where the database itself tells things by name.
    """

    existing: frozenset[str]
    base: Catalog = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    line: int | None = None


# -- Statements as code --------------------------------------------------------------------------


def as_code(linted: Linted) -> tuple[str, ...]:
    """A migration's statements as they were run."""
    return tuple(execute(effect.sql) for effect in linted.effects)


def execute(sql: str) -> str:
    """``op.execute`` of a statement."""
    return f"op.execute({text(sql)})"


def text(sql: str, *parameters: str) -> str:
    """A statement as a Python literal, its colons safe from being taken for parameters."""
    names = "|".join(parameters) or "(?!)"
    escaped = sql.replace("\\", "\\\\")
    escaped = re.sub(rf"(?<!:):(?=\w)(?!(?:{names})\b)", r"\\\\:", escaped)
    if "\n" in escaped or ('"' in escaped and "'" in escaped):
        return f'"""{escaped}{" " * escaped.endswith(chr(34))}"""'
    return f"'{escaped}'" if '"' in escaped else f'"{escaped}"'
