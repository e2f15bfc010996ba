"""The command line. ``make`` targets are thin names for it.

A module of this folder that has a ``group`` is a group of commands under its own name. Imports sit
inside the commands: asking for a status need not load a web framework.
"""

import os
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from ..errors import ActionableError
from .output import print_failure

if TYPE_CHECKING:
    from ..settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
for module in iter_modules(__path__):
    group = getattr(import_module(f".{module.name}", __name__), "group", None)
    if group is not None:
        app.add_typer(group, name=module.name)


def main() -> NoReturn:
    """Run the command line. Exit 0: done or nothing to do; 1: failed; 2: misuse."""
    try:
        app()
    except ActionableError as error:
        # The option's own value ended with the command that failed.
        print_failure(error, as_json="--json" in sys.argv)
    sys.exit(1)


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on. Default: LISTEN_HOST.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on. Default: PORT.")] = None,
    reload: Annotated[bool, typer.Option(help="Start again when a file changes.")] = False,
) -> None:
    """Migrate, then answer requests until Ctrl-C."""
    import signal

    from ..settings import load_settings

    settings = load_settings()
    # Uvicorn hands the signal back when it has shut down; leaving through SystemExit lets the
    # embedded database, if there is one, stop as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    host, port = host or settings.listen_host, port or settings.port
    print(f"http://{host}:{port} (Ctrl-C stops it)", file=sys.stderr)
    app = f"{__package__.rpartition('.')[0]}.app:create_app"
    if reload:
        _serve_and_reload(app, settings, host, port)
    else:
        from ..web.http_server import run

        with suppress(KeyboardInterrupt):
            run(app, settings, host=host, port=port)


def _serve_and_reload(app: str, settings: "Settings", host: str, port: int) -> None:
    import uvicorn

    from ..database.backend import connect

    # The reloader kills its children: an embedded database must belong to this process.
    os.environ["DATABASE_URL"] = connect(settings).url.render_as_string(hide_password=False)
    uvicorn.run(
        app,
        factory=True,
        host=host,
        port=port,
        reload=True,
        reload_dirs=[str(Path(__file__).parents[1])],
        log_config=None,
        access_log=False,
        proxy_headers=False,
    )
