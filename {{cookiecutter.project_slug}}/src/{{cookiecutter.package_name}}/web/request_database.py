"""The database of a request: the only database of the service."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from ..database.session import begin_look_up, open_session

# The header of a request for each claim in ``RequestDatabase.binding``.
BINDING_HEADERS: dict[str, str] = {}


class RequestDatabase:
    """Opens the sessions of a request.

    Attributes:
        binding: claims that tokens of this request contain and must contain. None here; a
            service with several places for users names the place.
    """

    binding: Mapping[str, str] = {}

    def __init__(self, request: Request) -> None:
        self._engine = request.app.state.engine

    def open(self, *, read_only: bool = False) -> Session:
        """A session for a ``with`` block. Call ``session.commit()`` to keep the changes."""
        return open_session(self._engine, read_only=read_only)

    def begin_look_up(self, session: Session) -> None:
        """Begin a transaction for one statement that reads."""
        begin_look_up(session)


async def request_database(request: Request) -> RequestDatabase:
    """The request's database."""
    return RequestDatabase(request)


RequestDatabaseDep = Annotated[RequestDatabase, Depends(request_database)]
