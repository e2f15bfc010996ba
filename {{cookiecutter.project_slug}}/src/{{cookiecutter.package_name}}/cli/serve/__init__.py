"""Serve the API."""

import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import cannot_listen

if TYPE_CHECKING:
    from uvicorn import Server

APP = f"{__package__.removesuffix('.cli.serve')}.app:create_app"


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on. Default: LISTEN_HOST.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on. Default: PORT.")] = None,
    reload: Annotated[
        bool, typer.Option(help="Restart when code changes; only report new migrations.")
    ] = False,
) -> None:
    """Migrate, then answer requests until Ctrl-C."""
    from ...settings import load_settings

    # The processes of --reload and the mailed links read them from the environment.
    os.environ.update({} if host is None else {"LISTEN_HOST": host})
    os.environ.update({} if port is None else {"PORT": str(port)})
    settings = load_settings()
    # Uvicorn raises the signal again after its shutdown; SystemExit lets the embedded database,
    # if there is one, stop as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sockets = [bind(settings.listen_host, settings.port)]
    print(f"{settings.own_address} (Ctrl-C stops it)", file=sys.stderr)
    if reload:
        _serve_and_reload(sockets)
    else:
        serve_app(sockets)


def serve_app(sockets: list[socket.socket]) -> None:
    """Answer requests with the environment's settings. Exits 1 if the start fails."""
    from ...settings import load_settings
    from ...web.http_server import server_for

    answer(server_for(APP, load_settings()), sockets)


def bind(host: str, port: int) -> socket.socket:
    """A socket with this address. Nobody can connect before the server listens on it.

    Raises:
        ActionableError: another process uses the address, or it is not one of this machine.
    """
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    if os.name == "posix":  # on Windows this option would let two processes share a port
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise cannot_listen(host, port, error.strerror or str(error)) from error
    bound.set_inheritable(True)
    return bound


def answer(server: "Server", sockets: list[socket.socket]) -> None:
    """Answer requests until a signal ends it. Exits 1 if the start fails."""
    host, port = sockets[0].getsockname()[:2]
    try:
        server.run(sockets)
    except KeyboardInterrupt:
        pass
    except OSError as error:  # another process took the port while this one migrated
        print(cannot_listen(host, port, error.strerror or str(error)), file=sys.stderr)
    if not server.started:
        sys.exit(1)


def _serve_and_reload(sockets: list[socket.socket]) -> None:
    import uvicorn

    from ...database.backend import connect
    from ...observability.logging import configure_logging
    from ...settings import load_settings
    from .reloader import Reloader

    config = uvicorn.Config(APP, factory=True, log_config=None)  # the reloader's own
    settings = load_settings()
    configure_logging(settings.log_level, as_json=settings.logs_json)
    # The reloader ends its child processes, so an embedded database must belong to this process.
    engine = connect(settings)
    os.environ["DATABASE_URL"] = engine.url.render_as_string(hide_password=False)
    Reloader(config, serve_app, sockets, engine, settings).run()
