"""The command line."""

from ..errors import ActionableError


def seeds_in_production() -> ActionableError:
    """``seed run`` was typed where ENVIRONMENT is production. Check where you are. ``--force``
    runs the seeds all the same.
    """
    return ActionableError(
        "seeds-in-production",
        "Seeds are for development, and ENVIRONMENT is production.",
        "Nothing was run: demonstration rows have no place among real ones.",
        "If it must be: seed run --force",
    )


def cannot_listen(host: str, port: int, cause: str) -> ActionableError:
    """Another program has the port, or the address is none of this machine's: LISTEN_HOST and PORT
    say it, or ``--host`` and ``--port``. Stop that program, or choose another port.
    """
    return ActionableError(
        "cannot-listen",
        f"Nothing can listen on {host}, port {port}: {cause}",
        "The service does not start.",
        f"Stop what has the port, or choose another address: serve --host 127.0.0.1 --port {port + 1}",
    )
