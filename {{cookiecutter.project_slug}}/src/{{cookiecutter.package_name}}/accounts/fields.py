"""Types of values that users send: addresses, names, passwords, mailed tokens."""

import unicodedata
from typing import Annotated

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

MAX_EMAIL_INPUT = 320  # normalised it has at most 254 bytes, which fits into the table users
MAX_PASSWORD_LENGTH = 1024


def normal_email(given: str) -> str:
    """One spelling for all variants of the same address.

    Case folding may make two mailboxes equal (straße, strasse). Neither owner gets the other's
    account: mail goes to the stored spelling.

    Raises:
        PydanticCustomError: it is not an address.
    """
    # First of all: to normalise a long sequence of combining characters takes quadratic time.
    if len(given) > MAX_EMAIL_INPUT:
        raise PydanticCustomError("email", "not an email address: it is too long")
    folded = unicodedata.normalize("NFKC", given.strip()).casefold()
    try:
        return validate_email(folded, check_deliverability=False).normalized
    except EmailNotValidError as error:
        reason = {"reason": str(error)}
        raise PydanticCustomError("email", "not an email address: {reason}", reason) from None


Email = Annotated[
    str,
    Field(max_length=MAX_EMAIL_INPUT),
    AfterValidator(normal_email),
    WithJsonSchema({"type": "string", "format": "email", "examples": ["ada@example.com"]}),
]
Name = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$"
    ),
    Field(examples=["Ada Lovelace"]),
]
# Passwords.check has the rules for a new password; this only limits the work.
Password = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_PASSWORD_LENGTH),
    Field(examples=["correct horse battery staple"], json_schema_extra={"format": "password"}),
]
EmailedToken = Annotated[
    str, StringConstraints(min_length=1, max_length=1024), Field(examples=["Vb9…"])
]
