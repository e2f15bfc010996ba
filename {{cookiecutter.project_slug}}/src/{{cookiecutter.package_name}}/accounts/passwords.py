"""Which passwords are accepted, and how they are kept."""

import unicodedata

from pwdlib.hashers.bcrypt import BcryptHasher

from ..errors import HttpError
from . import errors

MIN_LENGTH = 8
MAX_BYTES = 72  # bcrypt reads no further
MIN_DIFFERENT_LETTERS = 4
# What is left of hopeless passwords without digits and signs: P@ssw0rd!, 1qaz2wsx, admin2026.
_WORDS = """abc abcd admin administrator asdfghjkl baseball changeme computer dragon football hello
iloveyou letmein master monkey pass passw passwd password passwort princess psswrd qazwsx qwer
qwert qwerty qwertyui qwertyuiop secret starwars sunshine superman test trustno user welcome"""
HOPELESS = frozenset(_WORDS.split())
COUNTING = "01234567890123456789 98765432109876543210"


class Passwords:
    """bcrypt at the cost that the settings ask for."""

    def __init__(self, cost: int) -> None:
        self._cost = cost
        self._bcrypt = BcryptHasher(rounds=cost)

    def check(self, password: str, email: str) -> None:
        """Refuse what is too easy to guess, and what bcrypt would cut.

        Raises:
            HttpError: 422, with the reason.
        """
        if fault := self._fault(password, email):
            raise fault

    def _fault(self, password: str, email: str) -> HttpError | None:
        text = _normal(password)
        folded = text.casefold()
        if len(text.encode()) > MAX_BYTES:
            return errors.password_too_long(MAX_BYTES)
        if len(text) < MIN_LENGTH:
            return errors.password_too_short(MIN_LENGTH)
        if folded in {email, email.partition("@")[0]}:
            return errors.password_is_the_address()
        if (
            "".join(filter(str.isalpha, folded)) in HOPELESS
            or folded in COUNTING
            or len(set(folded)) < MIN_DIFFERENT_LETTERS
        ):
            return errors.password_guessable()
        return None

    def hash(self, password: str) -> str:
        """The hash to keep. Takes as long as the cost says: hold no transaction meanwhile."""
        return self._bcrypt.hash(_normal(password))

    def verify(self, password: str, kept: str | None) -> bool:
        """Whether the password is the one kept.

        Takes as long when there is none, or when it was kept at a lower cost.
        """
        secret = _normal(password).encode()
        real = kept is not None and len(secret) <= MAX_BYTES and self._bcrypt.identify(kept)
        candidate = kept if kept is not None and real else _nobody(self._cost)
        right = self._bcrypt.verify(secret[:MAX_BYTES], candidate)
        # Each step of cost doubles the work, so 2^c + 2^c + 2^(c+1) + ... reaches 2^cost.
        for cost in range(_cost(candidate), self._cost):
            self._bcrypt.verify(secret[:MAX_BYTES], _nobody(cost))
        return right and real

    def outdated(self, kept: str) -> bool:
        """Whether it was kept at a lower cost than asked for today."""
        return _cost(kept) < self._cost


def _normal(password: str) -> str:
    # The same keys must give the same bytes on every system: macOS and Windows compose differently.
    return unicodedata.normalize("NFKC", password)


def _cost(kept: str) -> int:
    return int(kept.split("$")[2])


def _nobody(cost: int) -> str:
    # Well-formed, so that comparing takes its time; which password gives it is not known.
    return f"$2b${cost:02}${'.' * 53}"
