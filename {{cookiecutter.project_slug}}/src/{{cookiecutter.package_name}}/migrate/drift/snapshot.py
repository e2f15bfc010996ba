"""A snapshot: the items of a schema, its fingerprint, and its text in a file."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import Connection

from ..backends import backend
from ..backends.rows import hash_of_rows
from ..bookkeeping import BOOKKEEPING

_HEADER = "# Schema snapshot 1: "
_INDENT = "    "
_BLANK = "  "  # the start of further lines of a value


@dataclass(frozen=True, order=True)
class Item:
    """One object in a schema: a table, a column, a constraint, …

    Attributes:
        kind: for example ``column``.
        name: its name, with its table if it has one: ``users.email``.
        definition: lines of ``fact: value``; a further line of a value starts with two spaces.
    """

    kind: str
    name: str
    definition: str = ""

    @property
    def facts(self) -> dict[str, str]:
        """The definition's values, by fact."""
        facts: dict[str, str] = {}
        fact = ""
        for line in self.definition.split("\n") if self.definition else ():
            if line.startswith(_BLANK):
                facts[fact] += "\n" + line.removeprefix(_BLANK)
            else:
                fact, _, value = line.partition(":")
                facts[fact] = value.removeprefix(" ")
        return facts


@dataclass(frozen=True)
class Snapshot:
    """A schema at one moment.

    Attributes:
        database: kind and major version: ``PostgreSQL 18``. Different ones are not comparable.
        schema: its name, which is not part of the fingerprint.
        items: sorted by kind and name.
    """

    database: str
    schema: str
    items: tuple[Item, ...]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the items, as in :func:`read_fingerprints`."""
        return hash_of_rows((item.kind, item.name, item.definition) for item in self.items)

    def to_text(self) -> str:
        """The snapshot as lines for a file, for people and for git."""
        lines = [f"{_HEADER}{self.database}, schema {_one_line(self.schema)}"]
        for item in self.items:
            lines.append(f"{item.kind}: {_one_line(item.name)}")
            # An editor may remove trailing blanks, so an empty line has none.
            lines += [
                "" if line == _BLANK else _INDENT + line
                for line in item.definition.split("\n")
                if item.definition
            ]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_text(cls, text: str) -> "Snapshot":
        """The snapshot from the text of :meth:`to_text`.

        Raises:
            ValueError: the text is not a snapshot, or has another version of the format.
        """
        header, *lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
        database, found, schema = header.removeprefix(_HEADER).partition(", schema ")
        if not header.startswith(_HEADER) or not found:
            raise ValueError(
                f"This is not a snapshot of a schema: it does not begin with {_HEADER!r}"
            )
        return cls(database, _many_lines(schema), tuple(sorted(_read_items(lines))))


def take_snapshot(
    connection: Connection,
    schema: str,
    *,
    excluded: Collection[str] = tuple(BOOKKEEPING),
    column_order: bool = False,
) -> Snapshot:
    """Describe the current state of a schema. A missing schema has no items.

    Args:
        connection: its transaction and its settings are not changed.
        schema: its name; SQLite's is ``main``.
        excluded: names to leave out with all their parts; ``*`` stands for any text.
            Default: the tables in :data:`BOOKKEEPING`.
        column_order: whether the order of a table's columns counts.
    """
    found = backend.snapshot.read_rows(
        connection, schema, excluded=excluded, column_order=column_order
    )
    items = tuple(sorted(Item(*row) for row in found))
    return Snapshot(backend.snapshot.version(connection), schema, items)


def read_fingerprints(
    connection: Connection,
    schemas: Iterable[str],
    *,
    excluded: Collection[str] = tuple(BOOKKEEPING),
    column_order: bool = False,
) -> dict[str, str]:
    """The fingerprint of each existing schema, computed by the server. Arguments as above.

    Ten thousand schemas take one query, or a few more if views would need too many locks.
    """
    return backend.snapshot.read_hashes(
        connection, schemas, excluded=excluded, column_order=column_order
    )


def _read_items(lines: Iterable[str]) -> Iterator[Item]:
    kind, name, definition = "", "", list[str]()
    for line in lines:
        if line.startswith(_INDENT) or not line:
            definition.append(line.removeprefix(_INDENT) or _BLANK)
            if not kind or definition[0].startswith(_BLANK):
                raise ValueError(f"This line of a snapshot belongs to nothing: {line!r}")
        else:
            if kind:
                yield Item(kind, name, "\n".join(definition))
            kind, found, rest = line.partition(": ")
            if not found:
                raise ValueError(f"This line of a snapshot has no name: {line!r}")
            name, definition = _many_lines(rest), []
    if kind:
        yield Item(kind, name, "\n".join(definition))


def _one_line(name: str) -> str:
    return name.replace("\\", r"\\").replace("\n", r"\n").replace("\r", r"\r")


def _many_lines(name: str) -> str:
    parts = name.split(r"\\")
    return "\\".join(part.replace(r"\n", "\n").replace(r"\r", "\r") for part in parts)
