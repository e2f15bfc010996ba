"""What backups are made with."""

from dataclasses import dataclass, field
from pathlib import Path

from .layout import Layout
from .store import Store


@dataclass(frozen=True)
class BackupOptions:
    """How and where backups are made.

    Attributes:
        store: where they are kept.
        keep: how many of the service's own stay; older ones are removed after a new one is made. See
            ``retention``.
        client: PostgreSQL's ``pg_dump``; None takes one of the wheel or of the PATH.
        layout: which files a backup has.
    """

    store: Store
    keep: int = 10
    client: Path | None = None
    layout: Layout = field(default_factory=Layout)
