"""A snapshot: what makes up a schema, as items; its fingerprint; and its text in a file."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import Connection

from ..backends import backend
from ..backends.rows import hash_of_rows
from ..bookkeeping import BOOKKEEPING

_HEADER = "# Schema snapshot 1: "
_INDENT = "    "
_BLANK = "  "  # what the further line of a value starts with


@dataclass(frozen=True, order=True)
class Item:
    """One thing in a schema: a table, a column, a constraint, …

    Attributes:
        kind: what it is: ``column``.
        name: what it is called, with its table where it has one: ``users.email``.
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
    """A schema as it was at one moment.

    Attributes:
        database: kind and major version: ``PostgreSQL 18``. Others are not comparable.
        schema: its name; no part of the fingerprint.
        items: sorted by kind and name.
    """

    database: str
    schema: str
    items: tuple[Item, ...]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the items; the one that :func:`read_fingerprints` gives."""
        return hash_of_rows((item.kind, item.name, item.definition) for item in self.items)

    def to_text(self) -> str:
        """The snapshot as lines to keep in a file: fit to be read, and to be compared by git."""
        lines = [f"{_HEADER}{self.database}, schema {_one_line(self.schema)}"]
        for item in self.items:
            lines.append(f"{item.kind}: {_one_line(item.name)}")
            # An editor may take away blanks at the end of a line, so an empty one has none.
            lines += [
                "" if line == _BLANK else _INDENT + line
                for line in item.definition.split("\n")
                if item.definition
            ]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_text(cls, text: str) -> "Snapshot":
        """What :meth:`to_text` wrote.

        Raises:
            ValueError: the text is no snapshot, or one of another version of the format.
        """
        header, *lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
        database, found, schema = header.removeprefix(_HEADER).partition(", schema ")
        if not header.startswith(_HEADER) or not found:
            raise ValueError(f"This is no snapshot of a schema: it does not begin with {_HEADER!r}")
        return cls(database, _many_lines(schema), tuple(sorted(_read_items(lines))))


def take_snapshot(
    connection: Connection,
    schema: str,
    *,
    excluded: Collection[str] = tuple(BOOKKEEPING),
    column_order: bool = False,
) -> Snapshot:
    """Describe a schema as it is now. A schema that is not there has no items.

    Args:
        connection: its transaction and its settings stay as they are.
        schema: its name; SQLite's is ``main``.
        excluded: names to leave out with all that hangs on them; ``*`` stands for any text.
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
    """The fingerprint of each schema that is there, made by the server. Arguments as above.

    Ten thousand schemas take one query, or some more where views would lock too much.
    """
    return backend.snapshot.read_hashes(
        connection, schemas, excluded=excluded, column_order=column_order
    )


def _read_items(lines: Iterable[str]) -> Iterator[Item]:
    kind, name, definition = "", "", list[str]()
    for line in lines:
        if line.startswith(_INDENT):
            definition.append(line.removeprefix(_INDENT))
        elif not line:
            definition.append(_BLANK)
        else:
            if kind:
                yield Item(kind, name, "\n".join(definition))
            kind, found, rest = line.partition(": ")
            if not found:
                raise ValueError(f"This line of a snapshot names nothing: {line!r}")
            name, definition = _many_lines(rest), []
    if kind:
        yield Item(kind, name, "\n".join(definition))


def _one_line(name: str) -> str:
    return name.replace("\\", r"\\").replace("\n", r"\n").replace("\r", r"\r")


def _many_lines(name: str) -> str:
    parts = name.split(r"\\")
    return "\\".join(part.replace(r"\n", "\n").replace(r"\r", "\r") for part in parts)
