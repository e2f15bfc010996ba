"""Errors of the command line."""

from collections.abc import Sequence
from pathlib import Path

from ..errors import ActionableError
from ..words import count


def seeds_in_production() -> ActionableError:
    """``seed run`` was called while ENVIRONMENT is production. Check the environment. ``--force``
    runs the seeds in spite of this.
    """
    return ActionableError(
        "seeds-in-production",
        "Seeds are for development, and ENVIRONMENT is production.",
        "Nothing was run: demonstration data must not mix with real data.",
        "To run them in production: seed run --force",
    )


def cannot_listen(host: str, port: int, cause: str) -> ActionableError:
    """Another program uses the port, or the address is not one of this machine. LISTEN_HOST and
    PORT set them, or ``--host`` and ``--port``. Stop that program, or choose another port.
    """
    return ActionableError(
        "cannot-listen",
        f"The service cannot listen on {host}, port {port}: {cause}",
        "The service does not start.",
        "Stop the program that uses the port, or choose another port: "
        f"serve --host 127.0.0.1 --port {port + 1}",
    )


def file_not_written(path: Path, cause: OSError) -> ActionableError:
    """The folder of the file is missing, or this user may not write there."""
    return ActionableError(
        "file-not-written",
        f"{path} cannot be written: {cause.strerror}",
        "Nothing was written.",
        f"Create the folder, or name another file: migrate snapshot --out {path.name}",
    )


def gate_shut(
    held_back: Sequence[str], held_by: Sequence[str], done: Sequence[str]
) -> ActionableError:
    """Instances of a release without this contract still serve, and the contract would remove what
    they use. They end when the deployment is complete. A killed instance stops counting after 60
    seconds.
    """
    return ActionableError(
        "gate-shut",
        f"{held_back[0]} is held back by {'; '.join(held_by)}.",
        f"Not applied: {count(len(held_back), 'migration')}. "
        f"Applied before it: {count(len(done), 'migration')}.",
        "End these instances, or wait for them: migrate contract --wait 120. "
        "To run it anyway: migrate contract --force",
    )
