"""A database behind a real PgBouncer in transaction mode."""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa


@contextmanager
def pgbouncer(
    address: str, folder: Path, connections: int = 4, *, in_turn: bool = False
) -> Iterator[str]:
    """The address of a database behind PgBouncer with this number of server connections.

    Skips the test if PgBouncer is not installed.

    Args:
        address: of the database itself.
        folder: for its settings.
        connections: to the server.
        in_turn: use them in turn; otherwise the one that was used last.

    """
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed")
    url = sa.make_url(address)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    host = url.query.get("host") or url.host
    (folder / "users").write_text('"postgres" ""\n')
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host={host} port={url.port or 5432} user=postgres\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = trust\nauth_file = {folder}/users\npool_mode = transaction\n"
        "ignore_startup_parameters = extra_float_digits\n"
        f"default_pool_size = {connections}\nserver_round_robin = {int(in_turn)}\n"
    )
    command = [program, "-q", str(settings)]
    if getpass.getuser() == "root":  # it refuses to run as root; the server's user may run it
        for path in (folder, *folder.parents):
            if path.is_relative_to("/tmp") and path != Path("/tmp"):
                path.chmod(path.stat().st_mode | 0o055)
        user = Path(str(host)).owner() if Path(str(host)).is_dir() else "nobody"
        command = [program, "-q", "-u", user, str(settings)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    behind = f"postgresql+psycopg://postgres@127.0.0.1:{port}/{url.database}?sslmode=disable"
    try:
        deadline = time.monotonic() + 10
        while not _answers(behind):
            assert time.monotonic() < deadline, "PgBouncer does not answer"
            time.sleep(0.02)
        yield behind
    finally:
        process.terminate()
        process.wait(10)


def _answers(address: str) -> bool:
    engine = sa.create_engine(address, poolclass=sa.NullPool)
    try:
        with engine.connect() as connection:
            return bool(connection.scalar(sa.text("SELECT true")))
    except sa.exc.OperationalError:
        return False
