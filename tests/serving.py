"""A running generated service, for tests that use it like its users."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest
import requests

from tools.process import clean_environment, end_group

ADMIN_KEY = "W3q-0vTz9kX_rN5bHf7sLc2yUe8mJd4pGa6"
PASSWORD = "correct horse battery"
OFTEN = "1000000/second"
STOP_SECONDS = 20.0
ENDS = (0, -signal.SIGTERM)

# Settings for tests: cheap password hashes, high rate limits, and a readable
# log.
VARIABLES = {
    "ADMIN_KEY": ADMIN_KEY,
    "BCRYPT_COST": "4",
    "LOG_FORMAT": "json",
    "RATE_LIMIT_PER_ACCOUNT": OFTEN,
    "RATE_LIMIT_PER_ADDRESS": OFTEN,
    "RATE_LIMIT_MAILS": OFTEN,
    "WRONG_PASSWORDS_BEFORE_DELAY": "1000000",
}


@dataclass(frozen=True)
class Service:
    """Its address and its log."""

    address: str
    log: Path
    headers: dict[str, str] = field(default_factory=dict)

    def post(self, path: str, **values: str) -> requests.Response:
        """Send JSON."""
        address = f"{self.address}{path}"
        return requests.post(address, json=values, headers=self.headers, timeout=20)

    def with_tenant(self, tenant: str) -> Service:
        """The same service for a new tenant."""
        administrator = Service(self.address, self.log, {"X-Admin-Key": ADMIN_KEY})
        assert administrator.post("/tenants", id=tenant).status_code == 201
        return Service(self.address, self.log, {"X-Tenant-ID": tenant})

    def register(self, email: str) -> requests.Response:
        """Register an account."""
        return self.post("/auth/register", email=email, password=PASSWORD, name="Ada")

    def confirm(self, email: str) -> None:
        """Follow the link in the newest mail, as soon as it is sent."""
        wait_until(lambda: bool(self.links(email)), self.log)
        token = parse_qs(urlsplit(self.links(email)[-1]).fragment)["token"][0]
        answer = self.post("/auth/verify-email", token=token, password=PASSWORD)
        assert answer.status_code == 200, answer.text

    def links(self, email: str) -> list[str]:
        """The links mailed to an address so far: outside production, the log has them."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        lines_of_json = [json.loads(line) for line in lines if line.startswith("{")]
        return [str(line["link"]) for line in lines_of_json if line.get("to") == email]

    def sign_in(self, email: str) -> str:
        """An access token for a new account."""
        self.register(email)
        self.confirm(email)
        answer = self.post("/auth/login", email=email, password=PASSWORD)
        return str(answer.json()["access_token"])


@dataclass(frozen=True)
class CountedService(Service):
    """It counts its own work: see ``counted.py``."""

    counter: int = 0  # the port of the count

    def steps(self) -> int:
        """The steps until now."""
        with socket.create_connection(("127.0.0.1", self.counter), timeout=60) as client:
            return int(client.makefile().read())


Serve = Callable[..., AbstractContextManager[Service]]
ServeCounted = Callable[..., AbstractContextManager[CountedService]]
COUNTED = str(Path(__file__).parent / "counted.py")


@contextmanager
def serving(
    python: Path,
    variables: Mapping[str, str],
    folder: Path,
    address: str,
    ends: tuple[int, ...] = ENDS,
    program: tuple[str, ...] = ("-m", "my_service"),
) -> Iterator[Service]:
    """Run the default answers' package on the database at an address.

    Args:
        python: the interpreter.
        variables: its environment.
        folder: its working directory.
        address: of the database.
        ends: exit codes that it may have.
        program: arguments of the interpreter, before the service's own.

    """
    port = free_port()
    every = {**VARIABLES, **variables, "DATABASE_URL": address}
    command = [str(python), *program, "serve", "--port", str(port)]
    with running(command, folder, every, ends) as log:
        ask(f"http://127.0.0.1:{port}/health/ready", log)
        yield Service(f"http://127.0.0.1:{port}", log)


@contextmanager
def serving_counted(
    python: Path, variables: Mapping[str, str], folder: Path, address: str
) -> Iterator[CountedService]:
    """The same, and the service counts its own work."""
    port = free_port()
    with serving(python, variables, folder, address, program=(COUNTED, str(port))) as service:
        yield CountedService(service.address, service.log, counter=port)


@contextmanager
def running(
    command: list[str],
    folder: Path,
    variables: Mapping[str, str],
    ends: tuple[int, ...] = ENDS,
) -> Iterator[Path]:
    """Run a service, yield the file with its output, and stop it like an operator."""
    path = folder / "service.log"
    with path.open("w") as log:
        service = subprocess.Popen(
            command,
            cwd=folder,
            env=clean_environment(variables),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:
        yield path
        service.send_signal(signal.SIGTERM)
        code = service.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pytest.fail(f"The service did not stop in {STOP_SECONDS:g} seconds.\n{path.read_text()}")
    finally:
        end_group(service)
    assert code in ends, path.read_text()


def ask(address: str, log: Path, seconds: float = 60) -> int:
    """Retry until the service answers; return the status."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(address, timeout=5) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            pytest.fail(f"{error.code} {error.read().decode()}\n{log.read_text()}")
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"The service does not answer.\n{log.read_text()}")


def wait_until(true: Callable[[], bool], log: Path, seconds: float = 60) -> None:
    """Wait for an effect of a started program."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.02)


def free_port() -> int:
    """A free port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def process_of(service: Service) -> psutil.Process:
    """The process that listens at the service's address."""
    port = int(service.address.rpartition(":")[2])
    (found,) = {
        child
        for child in psutil.Process().children(recursive=True)
        if any(c.laddr.port == port and c.status == "LISTEN" for c in child.net_connections())
    }
    return found
