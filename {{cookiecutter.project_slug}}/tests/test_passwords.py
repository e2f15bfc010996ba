"""Which passwords are accepted, and how they are kept."""

import pytest
from fastapi.testclient import TestClient

from {{ cookiecutter.package_name }}.accounts.passwords import Passwords
from {{ cookiecutter.package_name }}.errors import HttpError

EMAIL = "ada.lovelace@example.com"


@pytest.mark.parametrize(
    "password",
    [
        "x7#Kq9!",
        "P@ssw0rd123",
        "1qaz2wsx",
        "Welcome2026!",
        "1234567890",
        "87654321",
        "aaaaaaaaab",
        EMAIL,
        EMAIL.upper(),
        "Ada.Lovelace",
        "ä" * 37,
    ],
)
def test_a_hopeless_password_is_refused(password: str) -> None:
    with pytest.raises(HttpError) as refusal:
        Passwords(4).check(password, EMAIL)
    assert refusal.value.status == 422
    assert password not in str(refusal.value)


@pytest.mark.parametrize(
    "password", ["correct horse battery", "x7#Kq92!", "пароль из слов", "ä1b2" * 10]
)
def test_any_other_is_accepted_and_known_again(password: str) -> None:
    passwords = Passwords(4)
    passwords.check(password, EMAIL)
    kept = passwords.hash(password)
    assert passwords.verify(password, kept)
    assert not passwords.verify(password + "x", kept)


def test_longer_than_bcrypt_reads_is_refused_and_never_cut(client: TestClient) -> None:
    new = {"email": EMAIL, "name": "Ada", "password": "correct horse " * 6}
    answer = client.post("/auth/register", json=new)
    assert (answer.status_code, answer.json()["problem"]) == (
        422,
        "The password is longer than 72 bytes.",
    )
    whole = "correct horse battery staple".ljust(72, "x")
    kept = Passwords(4).hash(whole)
    assert not Passwords(4).verify(whole + "y", kept)


def test_one_password_typed_on_two_systems_is_the_same() -> None:
    composed, decomposed = "caf\u00e9 au lait", "cafe\u0301 au lait"
    assert Passwords(4).verify(decomposed, Passwords(4).hash(composed))


def test_nothing_kept_matches_nothing() -> None:
    for kept in (None, "", "!", "$2b$04$" + "." * 53):
        assert not Passwords(4).verify("correct horse battery", kept)
