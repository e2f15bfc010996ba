"""The rules for passwords, and their hashes."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pwdlib.hashers.bcrypt import BcryptHasher

from {{ cookiecutter.package_name }} import TITLE
from {{ cookiecutter.package_name }}.accounts import passwords as module
from {{ cookiecutter.package_name }}.accounts.passwords import Passwords
from {{ cookiecutter.package_name }}.errors import HttpError

EMAIL = "ada.lovelace@example.com"


@pytest.mark.parametrize(
    "password",
    [
        "x7#Kq9!",
        "P@ssw0rd123",
        "1qaz2wsx",
        "Passw0rd!",
        "Pa$$w0rd",
        "Welcome2026!",
        "Summer2026!",
        "пароль123",
        "йцукенгшщз",
        "密碼123456",
        "Κωδικός1",
        "1234567890",
        "10987654321",
        "aaaaaaaaab",
        "hunter2hunter2",
        "Qwe123qwe123",
        "Passw0rd!Passw0rd!",
        EMAIL,
        EMAIL.upper(),
        "Ada.Lovelace",
    ],
)
def test_a_weak_password_is_refused(password: str) -> None:
    with pytest.raises(HttpError) as refusal:
        Passwords(4).check(password, EMAIL)
    assert refusal.value.status == 422
    assert password not in str(refusal.value)


@pytest.mark.parametrize(
    "password",
    ["correct horse battery", "x7#Kq92!", "пароль из слов", "x7#Kq92!" * 5, "ä1b2c3d4" * 128],
)
def test_a_strong_password_is_accepted_and_its_hash_matches(password: str) -> None:
    passwords = Passwords(4)
    passwords.check(password, EMAIL)
    kept = passwords.hash(password)
    assert passwords.verify(password, kept)
    assert not passwords.verify(password + "x", kept)


@pytest.mark.parametrize(
    "alphabet", ["aB3$xyz9", "парольки", "密碼長一二三四五", "\U0001f40e\U0001f50b🪑📎🦖🧲🪐🎷"]
)
def test_64_characters_of_any_alphabet_count_and_none_is_cut_off(alphabet: str) -> None:
    passwords, password = Passwords(4), alphabet * 8
    passwords.check(password, EMAIL)
    kept = passwords.hash(password)
    assert len(kept) <= 255
    assert passwords.verify(password, kept) and not passwords.outdated(kept)
    for other in (password + "x", password[:-1], password[:-1] + "x"):
        assert not passwords.verify(other, kept)


def test_hashes_are_compatible_with_plain_bcrypt_in_both_directions() -> None:
    password = "correct horse battery"
    kept = BcryptHasher(rounds=4).hash(password)
    assert Passwords(4).verify(password, kept)
    assert BcryptHasher(rounds=4).verify(password, Passwords(4).hash(password))
    longest = "x" * 72
    assert Passwords(4).verify(longest, BcryptHasher(rounds=4).hash(longest))
    assert not Passwords(4).verify(longest + "y", BcryptHasher(rounds=4).hash(longest))


def test_a_stored_hash_does_not_work_as_a_password() -> None:
    passwords, password = Passwords(4), "密碼" * 20
    shortened = passwords.hash(password).partition(":")[2]
    assert not passwords.verify(password, shortened)


def test_common_passwords_are_refused(client: TestClient) -> None:
    new = {"email": EMAIL, "name": "Ada", "password": TITLE.replace(" ", "") + "2026!"}
    answer = client.post("/auth/register", json=new)
    assert answer.status_code == 422
    listed = Path(module.__file__).with_name("common_passwords.txt")
    common = listed.read_text(encoding="utf-8").split()
    assert len(common) > 3000
    for password in common[::97]:
        with pytest.raises(HttpError, match="too easy to guess"):
            Passwords(4).check(password.upper(), EMAIL)


def test_composed_and_decomposed_unicode_are_the_same_password() -> None:
    composed, decomposed = "caf\u00e9 au lait", "cafe\u0301 au lait"
    assert Passwords(4).verify(decomposed, Passwords(4).hash(composed))


def test_a_missing_or_invalid_hash_matches_no_password() -> None:
    for kept in (None, "", "!", "$2b$04$" + "." * 53):
        assert not Passwords(4).verify("correct horse battery", kept)
