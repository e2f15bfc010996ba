"""Sessions for requests, and the check that the database answers."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


def ping(engine: Engine) -> None:
    """Ask the database for one row.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database does not answer.
    """
    with engine.execution_options(read_only=True).connect() as connection:
        connection.execute(text("SELECT 1"))


def get_session(request: Request) -> Iterator[Session]:
    """One session per request. Call ``session.commit()`` to keep what was written."""
    engine: Engine = request.app.state.engine
    reading = engine.execution_options(read_only=request.method in SAFE_METHODS)
    with Session(reading, expire_on_commit=False) as session:
        yield session


SessionDep = Annotated[Session, Depends(get_session)]
