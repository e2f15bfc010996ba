"""The options of backups."""

from dataclasses import dataclass, field
from pathlib import Path

from .layout import Layout
from .store import Store


@dataclass(frozen=True)
class BackupOptions:
    """The options of backups.

    Attributes:
        store: the store of the files.
        keep: number of the service's backups to keep; older ones are deleted after a new one is
            made. See ``retention``.
        client: path of PostgreSQL's ``pg_dump``; None uses that of the wheel or of the PATH.
        layout: the division into files.
    """

    store: Store
    keep: int = 10
    client: Path | None = None
    layout: Layout = field(default_factory=Layout)
