"""What routes ask for: a session."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from .lanes import Lanes
from .request_database import RequestDatabaseDep

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


async def get_lanes(request: Request) -> Lanes:
    """The lanes of the service: how much it does at once."""
    lanes: Lanes = request.app.state.lanes
    return lanes


LanesDep = Annotated[Lanes, Depends(get_lanes)]


async def get_session(request: Request, database: RequestDatabaseDep) -> AsyncIterator[Session]:
    """One session for each request. Call ``session.commit()`` to keep what was written.

    The request waits here for its place among those that use the database, and gives it back
    before the answer is sent: a client that reads slowly keeps no connection.

    Raises:
        HttpError: 503, too many requests wait already, or this one waited too long.
    """
    lanes: Lanes = request.app.state.lanes
    async with lanes.database:
        session = database.open(read_only=request.method in SAFE_METHODS)
        try:
            yield session
        finally:
            if session.in_transaction():
                await lanes.database.in_thread(session.close)
            else:
                session.close()


SessionDep = Annotated[Session, Depends(get_session, scope="function")]
