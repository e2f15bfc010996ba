"""A client of the running service, for tests."""

from collections.abc import Callable
from typing import Any, Self

from fastapi import FastAPI
from fastapi.testclient import TestClient

from .schema import HEADERS, prepare

# Runs a command line: returns exit code and output.
Command = Callable[[str], tuple[int, str]]


class Client(TestClient):
    """A client of a service with its tables. It sends the headers that every request needs."""

    def __init__(self, app: FastAPI, **options: Any) -> None:
        super().__init__(app, headers=HEADERS, **options)
        self.state = app.state

    def __enter__(self) -> Self:
        super().__enter__()
        prepare(self.state.engine)
        return self
