"""The command line."""

from collections.abc import Sequence

from ..errors import ActionableError
from ..words import count


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


def gate_shut(
    held_back: Sequence[str], held_by: Sequence[str], done: Sequence[str]
) -> ActionableError:
    """Instances serve whose release lacks the contract: it would take away what they use. They end
    when the deploy is complete; one that was killed counts as gone after 60 seconds.
    """
    return ActionableError(
        "gate-shut",
        f"{held_back[0]} is held back by {'; '.join(held_by)}.",
        f"{count(len(held_back), 'migration')} not run; {count(len(done), 'migration')} before it run.",
        "End these instances, or wait for them: migrate contract --wait 120. "
        "At any risk: migrate contract --force",
    )
