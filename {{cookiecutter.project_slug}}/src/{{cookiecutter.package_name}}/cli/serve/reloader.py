"""Restarts the service when its code changes. It only reports changed migrations."""

import os
from collections.abc import Callable
from pathlib import Path
from socket import socket

from sqlalchemy import Engine
from uvicorn import Config
from uvicorn.supervisors.basereload import BaseReload

from ...migrations import config as migrations_config
from ...settings import Settings
from ...startup import tell_what_is_pending

SERVICE = Path(__file__).parents[2]


class Reloader(BaseReload):
    """Uvicorn's supervisor with its own detection of changes.

    You save a migration many times while you write it; it should run only by ``migrate latest``
    or when you start the service. So a change in ``versions/`` restarts nothing, and a restart
    after other changes does not migrate.
    """

    def __init__(
        self,
        config: Config,
        target: Callable[..., None],
        sockets: list[socket],
        engine: Engine,
        settings: Settings,
    ) -> None:
        super().__init__(config, target, sockets)
        self.reloader_name = "Reloader"
        self.engine = engine
        self.settings = settings
        self.seen = times_of_change()
        self.told_of: list[Path] = []  # changed migrations, since the last start

    def should_restart(self) -> list[Path] | None:
        """The code files that changed since the last check; None if none did."""
        self.pause()
        before, self.seen = self.seen, times_of_change()
        files = before | self.seen
        changed = sorted(path for path in files if before.get(path) != self.seen.get(path))
        migrations = [p for p in changed if p.is_relative_to(migrations_config.versions)]
        if migrations:
            tell_what_is_pending(self.engine, self.settings)
            self.told_of += migrations
            changed = [path for path in changed if path not in migrations]
        # The start failed, perhaps because this migration was missing.
        if not self.process.is_alive():
            changed += self.told_of
        return changed or None

    def restart(self) -> None:
        os.environ["AUTO_MIGRATE"] = "false"
        self.told_of = []
        super().restart()


def times_of_change() -> dict[Path, float]:
    """The modification time of each code file."""
    found: dict[Path, float] = {}
    for path in SERVICE.rglob("*.py"):
        try:
            found[path] = path.stat().st_mtime
        except OSError:  # the file was removed meanwhile
            continue
    return found
