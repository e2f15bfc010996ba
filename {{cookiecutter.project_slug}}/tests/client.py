"""The running service, as a test speaks to it."""

from collections.abc import Callable
from typing import Any, Self

from fastapi import FastAPI
from fastapi.testclient import TestClient

from .schema import HEADERS, prepare

# Runs a command line: gives exit code and output.
Command = Callable[[str], tuple[int, str]]


class Client(TestClient):
    """A client of a service whose tables are there. Sends what every request must carry."""

    def __init__(self, app: FastAPI, **options: Any) -> None:
        super().__init__(app, headers=HEADERS, **options)
        self.state = app.state

    def __enter__(self) -> Self:
        super().__enter__()
        prepare(self.state.engine)
        return self
