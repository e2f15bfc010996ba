"""Errors that say what is wrong, what it means and what to do."""

from collections.abc import Mapping

INDENT = "\n" + " " * 10


class Problem(Exception):
    """An error a person can act on: problem, impact, solution."""

    def __init__(self, problem: str, impact: str, solution: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.impact = impact
        self.solution = solution

    def __str__(self) -> str:
        lines = {"Problem": self.problem, "Impact": self.impact, "Solution": self.solution}
        return "\n".join(
            f"{name + ':':10}{line.replace(chr(10), INDENT)}" for name, line in lines.items()
        )


class HttpProblem(Problem):
    """A problem that answers a request: raise it anywhere below a route.

    ``problem_json`` writes it as RFC 9457 asks.
    """

    def __init__(
        self,
        status: int,
        problem: str,
        impact: str,
        solution: str,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(problem, impact, solution)
        self.status = status
        self.headers = headers
