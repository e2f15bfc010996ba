"""Words that people read."""


def count(number: int, noun: str, many: str | None = None) -> str:
    """``1 migration``, ``2 migrations``; ``many`` where an s does not do: ``2 retries``."""
    return f"{number} {noun if number == 1 else many or f'{noun}s'}"
