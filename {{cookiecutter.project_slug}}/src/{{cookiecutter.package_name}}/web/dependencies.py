"""What routes ask for: a session, and what a token is bound to."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from ..database.session import open_session

# The header that carries each claim of ``token_binding`` in a request.
BINDING_HEADERS: dict[str, str] = {}
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


def get_session(request: Request) -> Iterator[Session]:
    """One session for each request. Call ``session.commit()`` to keep what was written."""
    engine = request.app.state.engine
    with open_session(engine, read_only=request.method in SAFE_METHODS) as session:
        yield session


def token_binding() -> dict[str, str]:
    """Claims that every token of this request carries, and that a token must carry to count.

    None here. A service whose users live in several places names the place.
    """
    return {}


SessionDep = Annotated[Session, Depends(get_session)]
TokenBindingDep = Annotated[dict[str, str], Depends(token_binding)]
