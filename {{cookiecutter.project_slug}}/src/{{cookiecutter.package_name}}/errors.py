"""Errors with a problem, an impact and a solution.

    Exception
      ActionableError    printed by the command line, logged when the service does not start
        HttpError        raised at or below a route; answers the request

There are no other classes: the ``code`` identifies an error. Each package has
its errors in a file ``errors.py`` (or ``…_errors.py``), one function for each. The function's
docstring gives the cause and the solution; it appears in the guide and on the service's page
``/errors``. May import: nothing of the service. Imported by: everything above.
"""

import re
from collections.abc import Mapping
from typing import Self

INDENT = "\n" + " " * 10
RETRY_AFTER_SECONDS = "5"


class ActionableError(Exception):
    """An error that a person can act on.

    Attributes:
        code: stable name of this kind of error in kebab-case, unique in the service. Programs
            compare it; people look it up in the guide and on the page ``/errors``.
        problem: the problem, in one sentence.
        impact: the consequence: what was not done, what did not change.
        solution: what to do; a command to type, if there is one.
    """

    def __init__(self, code: str, problem: str, impact: str, solution: str) -> None:
        super().__init__(problem)
        self.code = code
        self.problem = problem
        self.impact = impact
        self.solution = solution

    def __str__(self) -> str:
        lines = {"Problem": self.problem, "Impact": self.impact, "Solution": self.solution}
        return "\n".join(
            f"{name + ':':10}{line.replace(chr(10), INDENT)}" for name, line in lines.items()
        )

    def as_dict(self) -> dict[str, str]:
        """The error for JSON."""
        return {"problem": self.problem, **self.details()}

    def details(self) -> dict[str, str]:
        """All but the problem: for a log line whose text is the problem."""
        return {"impact": self.impact, "solution": self.solution, "code": self.code}


class HttpError(ActionableError):
    """An error that is the answer to a request (RFC 9457). ``web.problem_details`` writes it.

    Attributes:
        status: the HTTP status of the answer.
        headers: additional headers of the answer, for example Retry-After.
    """

    def __init__(
        self,
        status: int,
        code: str,
        problem: str,
        impact: str,
        solution: str,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code, problem, impact, solution)
        self.status = status
        self.headers = headers

    @classmethod
    def from_error(cls, error: ActionableError, status: int) -> Self:
        """The same error as the answer to a request."""
        headers = {"Retry-After": RETRY_AFTER_SECONDS} if status == 503 else None
        return cls(status, error.code, error.problem, error.impact, error.solution, headers=headers)


def first_line(error: BaseException) -> str:
    """The first line of an error's text; for a database error, of the driver's. It may be empty."""
    original = getattr(error, "orig", None) or error
    lines = str(original).strip().splitlines()
    return without_value(lines[0], original) if lines else ""


def without_value(message: str, error: BaseException) -> str:
    """The message without the value that it quotes, which may be personal or a secret.

    Messages of SQL's class 22, "data exception", quote values: invalid input syntax for type
    integer: "ada@example.com".
    """
    quotes_value = str(getattr(error, "sqlstate", None)).startswith("22")
    return re.sub('".*"', '"…"', message) if quotes_value else message


def cause(error: BaseException) -> str:
    """The error's class and the first line of its text, if it has one."""
    return ": ".join(filter(None, [type(error).__name__, first_line(error)]))
