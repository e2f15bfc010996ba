"""Dependencies of routes: a session and the lanes."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from .lanes import Lanes
from .request_database import RequestDatabaseDep

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


async def get_lanes(request: Request) -> Lanes:
    """The lanes of the service, which limit how much work runs at the same time."""
    lanes: Lanes = request.app.state.lanes
    return lanes


LanesDep = Annotated[Lanes, Depends(get_lanes)]


async def get_session(request: Request, database: RequestDatabaseDep) -> AsyncIterator[Session]:
    """One session for each request. Call ``session.commit()`` to keep the changes.

    The request waits here for a place in the database lane, and returns it before the answer is
    sent, so that a client that reads slowly holds no connection.

    Raises:
        HttpError: 503, if too many requests wait, or this one waited too long.
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
