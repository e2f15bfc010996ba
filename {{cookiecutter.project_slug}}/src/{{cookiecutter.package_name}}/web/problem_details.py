"""Every error over HTTP: RFC 9457's problem details, with problem, impact and solution in them."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import HttpProblem

MEDIA_TYPE = "application/problem+json"
NOTHING_DONE = "The request did nothing."

Lines = tuple[str, str, str]

# What the framework says, in this service's words: by its text or by its status.
_IN_OUR_WORDS: dict[str | int, Lines] = {
    "Invalid host header": (
        "This service does not answer to that host name.",
        NOTHING_DONE,
        "Use its own name. Operators name those it answers to in ALLOWED_HOSTS.",
    ),
    400: (
        "The request cannot be read.",
        NOTHING_DONE,
        "Send a body that is whole and of the content type it claims.",
    ),
    404: ("There is nothing here.", NOTHING_DONE, "Compare the address with the API's paths."),
    405: (
        "This address does not know that method.",
        NOTHING_DONE,
        "Use one that the header Allow names.",
    ),
    413: ("The request is too large.", NOTHING_DONE, "Send less at once."),
}


class Fault(BaseModel):
    """One value that cannot be taken."""

    where: str = Field(examples=["body.email"])
    problem: str = Field(examples=["Field required"])


class ProblemDetails(BaseModel):
    """An error: RFC 9457's members, then what is wrong, what it means and what to do."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    problem: str
    impact: str
    solution: str
    request_id: str | None = None
    errors: list[Fault] | None = None


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route for its description, with those that any route may answer."""
    every = {*statuses, 400, 413, 500}
    return {status: {"model": ProblemDetails} for status in sorted(every)}


def speak_problem_json(app: FastAPI) -> None:
    """Answer errors below the routes with problem details, and describe them in OpenAPI."""
    app.add_exception_handler(HttpProblem, _on_problem)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        schema = describe()
        for path in schema["paths"].values():
            for operation in path.values():
                for status, answer in operation["responses"].items():
                    _describe(int(status), answer.get("content", {}))
        return schema

    app.openapi = openapi  # type: ignore[method-assign]


class PlainTextProblems:
    """ASGI middleware: what other middleware refuses in plain text becomes problem details."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal: Message | None = None

        async def translate(message: Message) -> None:
            nonlocal refusal
            if message["type"] == "http.response.start" and message["status"] >= 400:
                headers = MutableHeaders(raw=message["headers"])
                if headers.get("content-type", "").startswith("text/plain"):
                    del headers["content-type"], headers["content-length"]
                    refusal = {**message, "headers": headers}
                    return
            if refusal is None:
                await send(message)
            elif not message.get("more_body"):
                said = message["body"].decode()
                answer = _answer(
                    refusal["status"], *_lines(refusal["status"], said), headers=refusal["headers"]
                )
                await answer(scope, receive, send)

        await self.app(scope, receive, translate if scope["type"] == "http" else send)


class UnexpectedErrors:
    """ASGI middleware: who asked gets a request id and nothing else; the log has the rest."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception:
            if scope["type"] == "http" and not started:
                answer = _answer(
                    500,
                    "The service failed in a way that it did not expect.",
                    "The request may not have been carried out.",
                    "Try again. If it stays so, tell the operators the request id.",
                )
                await answer(scope, receive, send)
            raise


def _on_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HttpProblem)
    lines = (error.problem, error.impact, error.solution)
    return _answer(error.status, *lines, headers=error.headers)


def _on_http_exception(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    lines = _lines(error.status_code, str(error.detail))
    return _answer(error.status_code, *lines, headers=error.headers)


def _on_invalid(_request: Request, error: Exception) -> Response:
    # The values stay out of the answer: one of them may be a password.
    assert isinstance(error, RequestValidationError)
    faults = [
        Fault(where=".".join(map(str, fault["loc"])), problem=fault["msg"])
        for fault in error.errors()
    ]
    return _answer(
        422,
        "; ".join(f"{fault.where}: {fault.problem}" for fault in faults),
        NOTHING_DONE,
        "Correct the values that errors names.",
        errors=faults,
    )


def _lines(status: int, said: str) -> Lines:
    fallback = (said, NOTHING_DONE, "Correct the request and send it again.")
    return _IN_OUR_WORDS.get(said) or _IN_OUR_WORDS.get(status) or fallback


def _answer(
    status: int,
    *lines: str,
    headers: Mapping[str, str] | None = None,
    errors: list[Fault] | None = None,
) -> Response:
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    details = _details(status, *lines, request_id=request_id, errors=errors)
    return Response(details.model_dump_json(exclude_none=True), status, headers, MEDIA_TYPE)


def _details(status: int, problem: str, impact: str, solution: str, **more: Any) -> ProblemDetails:
    return ProblemDetails(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=problem,
        problem=problem,
        impact=impact,
        solution=solution,
        **more,
    )


def _describe(status: int, content: dict[str, Any]) -> None:
    reference = content.get("application/json", {}).get("schema", {}).get("$ref", "")
    if reference.endswith(f"/{ProblemDetails.__name__}"):
        lines = _lines(status, f"{HTTPStatus(status).phrase}.")
        example = _details(status, *lines, request_id="2f1b6c0d9e5a4b7c8d3e2f1a0b9c8d7e")
        content[MEDIA_TYPE] = content.pop("application/json")
        content[MEDIA_TYPE]["example"] = example.model_dump(exclude_none=True)
