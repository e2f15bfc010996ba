"""Errors that say what is wrong, what it means and what to do."""


class Problem(Exception):
    """An error a person can act on: problem, impact, solution."""

    def __init__(self, problem: str, impact: str, solution: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.impact = impact
        self.solution = solution

    def __str__(self) -> str:
        return f"Problem:  {self.problem}\nImpact:   {self.impact}\nSolution: {self.solution}"
