"""Words for people: plurals."""


def count(number: float, noun: str, many: str | None = None) -> str:
    """``1 migration``, ``0.5 seconds``; ``many`` is an irregular plural: ``2 retries``."""
    shown = f"{number:g}" if isinstance(number, float) else number
    return f"{shown} {noun if number == 1 else many or f'{noun}s'}"


def are(number: int, noun: str, what: str) -> str:
    """``1 migration is pending``, ``2 migrations are pending``."""
    return f"{count(number, noun)} {'is' if number == 1 else 'are'} {what}"
