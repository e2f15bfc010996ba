"""Errors that say what is wrong, what it means and what to do."""

from collections.abc import Mapping


class Problem(Exception):
    """An error a person can act on: problem, impact, solution."""

    def __init__(self, problem: str, impact: str, solution: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.impact = impact
        self.solution = solution

    def __str__(self) -> str:
        return f"Problem:  {self.problem}\nImpact:   {self.impact}\nSolution: {self.solution}"


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
