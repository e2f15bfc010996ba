"""Errors over HTTP: RFC 9457's problem details, with problem, impact and solution."""

from collections.abc import Callable, Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import HttpError
from . import errors
from .error_catalogue import Entry, read_catalogue
from .request_log import ERROR_CODE

MEDIA_TYPE = "application/problem+json"
PAGE = "/errors"  # web.error_page; each code is an anchor on it
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
REFERENCE = "#/components/schemas/{model}"
EXAMPLE_ID = "2f1b6c0d9e5a4b7c8d3e2f1a0b9c8d7e"

# This service's errors for those of the framework, by text or by status.
_OF_FRAMEWORK: dict[str | int, Callable[[], HttpError]] = {
    "Invalid host header": errors.host_refused,
    400: errors.request_unreadable,
    404: errors.path_unknown,
    405: errors.method_not_allowed,
    413: errors.request_too_large,
}


class Fault(BaseModel):
    """One invalid value."""

    where: str = Field(examples=["body.email"])
    problem: str = Field(examples=["Field required"])


class ProblemDetails(BaseModel):
    """An error: RFC 9457's members, then problem, impact and solution."""

    type: str = Field(description="URL of the explanation: the page /errors, at its code.")
    title: str
    status: int
    detail: str
    code: str = Field(description="Stable name of this kind of error, for programs to compare.")
    problem: str
    impact: str
    solution: str
    request_id: str | None = None
    errors: list[Fault] | None = None


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route for its OpenAPI description, with those of every route.

    They name the schema instead of the model: for a model the framework would make a validator for
    each status of each route, which takes most of the time in which it builds the routes.
    """
    every = {*statuses, 400, 413, 500}
    schema = {"$ref": REFERENCE.format(model=ProblemDetails.__name__)}
    return {status: {"content": {MEDIA_TYPE: {"schema": schema}}} for status in sorted(every)}


def speak_problem_json(app: FastAPI) -> None:
    """Answer errors below the routes with problem details, and describe them in OpenAPI."""
    app.add_exception_handler(HttpError, _on_http_error)
    app.add_exception_handler(HTTPException, _on_framework_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        schema = describe()
        # One example for each status: the last one, so those of this package, which are for any
        # route.
        entries = sorted(read_catalogue(), key=lambda entry: entry.package == "web")
        examples = {entry.status: entry for entry in entries}
        for path in schema["paths"].values():
            for operation in path.values():
                for status, answer in operation["responses"].items():
                    if entry := examples.get(status):
                        _add_example(int(status), answer.get("content", {}), entry)
        _add_schemas(schema.setdefault("components", {}).setdefault("schemas", {}))
        return schema

    app.openapi = openapi  # type: ignore[method-assign]


class PlainTextProblems:
    """ASGI middleware: turns plain-text refusals of other middleware into problem details."""

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
                text = message["body"].decode()
                ours = _in_our_words(refusal["status"], text)
                response = answer(scope, ours, headers=refusal["headers"])
                await response(scope, receive, send)

        await self.app(scope, receive, translate if scope["type"] == "http" else send)


class UnexpectedErrors:
    """ASGI middleware: the client gets only a request id; the log has the details."""

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
                await answer(scope, errors.unexpected())(scope, receive, send)
            raise


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HttpError)
    return answer(request.scope, error)


async def _on_framework_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    ours = _in_our_words(error.status_code, str(error.detail))
    headers = error.headers
    if error.status_code == 405:
        headers = {**(headers or {}), "Allow": ", ".join(_allowed(request))}
    return answer(request.scope, ours, headers=headers)


async def _on_invalid(request: Request, error: Exception) -> Response:
    # The answer does not contain the values: one of them may be a password.
    assert isinstance(error, RequestValidationError)
    faults = [
        Fault(where=".".join(map(str, fault["loc"])), problem=fault["msg"])
        for fault in error.errors()
    ]
    ours = errors.values_invalid("; ".join(f"{fault.where}: {fault.problem}" for fault in faults))
    return answer(request.scope, ours, faults=faults)


def _allowed(request: Request) -> list[str]:
    # The framework names the methods of one route; a path may have several.
    scope = {"type": "http", "path": request.scope["path"], "root_path": "", "headers": []}
    scopes = ({**scope, "method": method} for method in METHODS)
    return [
        str(one["method"])
        for one in scopes
        if any(route.matches(one)[0] is Match.FULL for route in request.app.router.routes)
    ]


def _in_our_words(status: int, message: str) -> HttpError:
    ours = _OF_FRAMEWORK.get(message) or _OF_FRAMEWORK.get(status)
    return ours() if ours else errors.request_refused(status, message)


def answer(
    scope: Scope,
    error: HttpError,
    *,
    headers: Mapping[str, str] | None = None,
    faults: list[Fault] | None = None,
) -> Response:
    """An error as the answer to a request.

    Args:
        headers: replace the error's own headers.
        faults: the invalid values.
    """
    scope[ERROR_CODE] = error.code
    details = ProblemDetails(
        # Behind a proxy that serves the API below a path, root_path is that path.
        type=f"{scope.get('root_path', '')}{PAGE}#{error.code}",
        title=_title(error.code),
        status=error.status,
        detail=error.problem,
        request_id=structlog.contextvars.get_contextvars().get("request_id"),
        errors=faults,
        **error.as_dict(),
    )
    body = details.model_dump_json(exclude_none=True)
    return Response(body, error.status, headers or error.headers, MEDIA_TYPE)


def _title(code: str) -> str:
    # Not HTTPStatus(…).phrase: 413 and 422 have other phrases from Python 3.13 on.
    return code.replace("-", " ").capitalize()


def _add_example(status: int, content: dict[str, Any], entry: Entry) -> None:
    if problem := content.get(MEDIA_TYPE):
        problem["example"] = _example(status, entry)


def _add_schemas(schemas: dict[str, Any]) -> None:
    every = ProblemDetails.model_json_schema(mode="serialization", ref_template=REFERENCE)
    own = {**every.pop("$defs"), ProblemDetails.__name__: every}
    # Without "default: null", as the framework writes its own.
    schemas |= jsonable_encoder(own, exclude_none=True)


def _example(status: int, entry: Entry) -> dict[str, Any]:
    return ProblemDetails(
        type=f"{PAGE}#{entry.code}",
        title=_title(entry.code),
        status=status,
        detail=entry.problem,
        code=entry.code,
        problem=entry.problem,
        impact=entry.impact,
        solution=entry.solution,
        request_id=EXAMPLE_ID,
    ).model_dump(exclude_none=True)
