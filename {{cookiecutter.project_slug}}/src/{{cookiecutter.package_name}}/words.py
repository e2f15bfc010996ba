"""Words for people: plurals."""


def count(number: int, noun: str, many: str | None = None) -> str:
    """``1 migration``, ``2 migrations``; ``many`` is an irregular plural: ``2 retries``."""
    return f"{number} {noun if number == 1 else many or f'{noun}s'}"
