"""An unreachable database: 503 for the client, and one line in the log without a traceback."""

import structlog
from fastapi import FastAPI, Request, Response
from sqlalchemy.exc import SQLAlchemyError

from ..database.backend import is_away
from ..database.errors import database_away
from ..errors import first_line
from .problem_details import answer


def answer_outages(app: FastAPI) -> None:
    """Answer 503 if the database is unreachable, but not for errors of the request's statements."""
    app.add_exception_handler(SQLAlchemyError, _on_database_error)


async def _on_database_error(request: Request, error: Exception) -> Response:
    if not is_away(error):
        raise error
    structlog.contextvars.bind_contextvars(reason=first_line(error) or type(error).__name__)
    return answer(request.scope, database_away())
