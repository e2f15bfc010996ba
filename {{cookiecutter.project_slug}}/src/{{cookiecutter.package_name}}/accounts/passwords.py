"""The rules for passwords, and their hashes."""

import base64
import hashlib
import hmac
import string
import unicodedata
from functools import cache
from pathlib import Path

import bcrypt
from pwdlib.hashers.bcrypt import BcryptHasher

from .. import TITLE
from ..errors import HttpError
from . import errors

MIN_LENGTH = 8
MAX_BYTES = 72  # bcrypt ignores all bytes after these
SALT_LENGTH = 29  # of bcrypt's text: $2b$12$ and 22 characters
MIN_DIFFERENT_LETTERS = 4
PREHASHED = "hmac-sha256:"
# Weak passwords without their digits and signs: 1qaz2wsx, admin2026, Summer26!
_WORDS = """abc abcd admin administrator asdfghjkl autumn baseball changeme computer dragon football
hello iloveyou letmein master monkey pass passw passwd password princess psswrd qazwsx qwer qwert
qwerty qwertyui qwertyuiop secret spring starwars summer sunshine superman test trustno user welcome
winter azerty contrasena contraseña haslo hasło motdepasse parola passwort qwertz senha wachtwoord
любовь пароль привет йцукен йцукенг йцукенгш йцукенгшщз κωδικός סיסמה パスワード 密码 密碼 비밀번호"""
SIGNS = str.maketrans("@$013457", "asoieast")  # what stands for a letter: P@ssw0rd
COUNTING = "01234567890123456789 98765432109876543210"


class Passwords:
    """bcrypt with the cost of the settings.

    For a password that is longer than bcrypt's limit, an HMAC-SHA-256 is hashed, with the salt as
    its key; a prefix before the hash marks this. All others are stored as bcrypt's own text, which
    earlier versions of the service can read too.
    """

    def __init__(self, cost: int) -> None:
        self._cost = cost
        self._bcrypt = BcryptHasher(rounds=cost)

    def check(self, password: str, email: str) -> None:
        """Refuse a password that is too easy to guess.

        Raises:
            HttpError: 422, with the reason.
        """
        if fault := self._fault(password, email):
            raise fault

    def _fault(self, password: str, email: str) -> HttpError | None:
        text = _normal(password)
        folded = _unit(text.casefold())
        word = folded.rstrip(string.digits + string.punctuation)
        guesses = {folded, _letters(folded), word, word.translate(SIGNS)}
        if len(text) < MIN_LENGTH:
            return errors.password_too_short(MIN_LENGTH)
        if text.casefold() in {email, email.partition("@")[0]}:
            return errors.password_is_the_address()
        if (
            folded in COUNTING
            or len(folded) < MIN_LENGTH
            or len(set(folded)) < MIN_DIFFERENT_LETTERS
            or not guesses.isdisjoint(_hopeless())
        ):
            return errors.password_guessable()
        return None

    def hash(self, password: str) -> str:
        """The hash to store. The time depends on the cost: hold no transaction meanwhile."""
        secret = _normal(password).encode()
        if len(secret) <= MAX_BYTES:
            return self._bcrypt.hash(secret)
        salt = bcrypt.gensalt(self._cost)
        return PREHASHED + self._bcrypt.hash(_shortened(secret, salt), salt=salt)

    def verify(self, password: str, kept: str | None) -> bool:
        """Whether the password matches the stored hash.

        It takes the same time if there is no hash, or if the hash has a lower cost.
        """
        secret = _normal(password).encode()
        prehashed = kept is not None and kept.startswith(PREHASHED)
        hashed = (kept or "").removeprefix(PREHASHED)
        real = self._bcrypt.identify(hashed) and (prehashed or len(secret) <= MAX_BYTES)
        candidate = hashed if real else _nobody(self._cost)
        shortened = _shortened(secret, candidate[:SALT_LENGTH].encode())
        given = shortened if prehashed else secret[:MAX_BYTES]
        right = self._bcrypt.verify(given, candidate)
        # Each step of cost doubles the work, so 2^c + 2^c + 2^(c+1) + ... reaches 2^cost.
        for cost in range(_cost(candidate), self._cost):
            self._bcrypt.verify(given, _nobody(cost))
        return right and real

    def outdated(self, kept: str) -> bool:
        """Whether the stored hash has a lower cost than the settings."""
        return _cost(kept) < self._cost


def _normal(password: str) -> str:
    # The same keys must give the same bytes on every system: macOS and Windows compose characters
    # differently.
    return unicodedata.normalize("NFKC", password)


def _unit(text: str) -> str:
    """The part that the text repeats, or the whole text: who guesses the part has guessed all."""
    return text[: (text + text).find(text, 1)]


def _shortened(secret: bytes, salt: bytes) -> bytes:
    # In base64: bcrypt's C code once stopped at a zero byte.
    return base64.b64encode(hmac.digest(salt, secret, hashlib.sha256))


def _letters(text: str) -> str:
    return "".join(filter(str.isalpha, text))


@cache
def _hopeless() -> frozenset[str]:
    # The file: the 4,000 most frequent passwords of 8 characters or more in each of two collections
    # of leaked passwords: those of zxcvbn and of Django.
    listed = Path(__file__).with_name("common_passwords.txt").read_text(encoding="utf-8")
    return frozenset([*listed.split(), *_WORDS.casefold().split(), _letters(TITLE.casefold())])


def _cost(kept: str) -> int:
    return int(kept.split("$")[2])


def _nobody(cost: int) -> str:
    # Well-formed, so that comparing takes the usual time; nobody knows a password for it.
    return f"$2b${cost:02}${'.' * 53}"
