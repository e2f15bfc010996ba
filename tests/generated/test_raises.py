"""The sections ``Raises:`` of docstrings match the errors that the code can raise."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Bake

from generated.raises import Function, Package, Raised
from tools.services import DATABASES

pytestmark = pytest.mark.thorough

each_database = pytest.mark.parametrize("database", DATABASES)

# Decorators of routes: what a route may answer is in its ``responses``.
ROUTES = {"get", "post", "patch", "delete", "put"}

# Untrue docstrings of each kind: text for the end of accounts/administration.py.
WRONG_DOCSTRINGS = {
    "names an error that nothing raises": '''
def count_users(session: Session) -> int:
    """How many.

    Raises:
        HttpError: 404, there are none.
    """
    return len(find_users(session, search=None, active=None, after=None, limit=9))
''',
    "names another status than the one raised": '''
def close(session: Session, user_id: UUID) -> None:
    """Keep a user out.

    Raises:
        HttpError: 409, there is no such user.
    """
    set_active(session, user_id, False)
''',
    "names another code than the one raised": '''
def close(session: Session, user_id: UUID) -> None:
    """Keep a user out.

    Raises:
        HttpError: 404, path-unknown.
    """
    set_active(session, user_id, False)
''',
    "names an error that is caught": '''
def close(session: Session, user_id: UUID) -> None:
    """Keep a user out.

    Raises:
        HttpError: 404, there is no such user.
    """
    try:
        raise errors.user_unknown()
    except errors.HttpError:
        pass
''',
}
MISSING_DOCSTRINGS = {
    "raises itself": '''
def refuse() -> None:
    """Refuse."""
    raise errors.user_unknown()
''',
    "calls what raises": '''
def close(session: Session, user_id: UUID) -> None:
    """Keep a user out."""
    set_active(session, user_id, False)
''',
    "lets an error pass that it caught": '''
def close(session: Session, user_id: UUID) -> None:
    """Keep a user out."""
    try:
        set_active(session, user_id, False)
    except Exception:
        session.rollback()
        raise
''',
    "documents one status and raises another, too": '''
def close(session: Session, user_id: UUID) -> None:
    """Keep a user out.

    Raises:
        HttpError: 404, there is no such user.
    """
    if user_id.int == 0:
        raise errors.password_guessable()
    set_active(session, user_id, False)
''',
}
CAUGHT_ERROR = '''
def close(session: Session, user_id: UUID) -> bool:
    """Keep a user out; whether there was one."""
    try:
        set_active(session, user_id, False)
    except errors.HttpError:
        return False
    return True
'''


@each_database
def test_documented_errors_can_be_raised(bake: Bake, database: str) -> None:
    package = Package(bake(database=database) / "src" / "my_service")
    assert sum(bool(function.raises_section) for function in package.functions) > 20
    assert list(documented_but_not_raised(package)) == []


@each_database
def test_what_can_be_raised_is_documented(bake: Bake, database: str) -> None:
    package = Package(bake(database=database) / "src" / "my_service")
    assert sum(bool(found) for found in package.certain.values()) > 20
    assert list(raised_but_not_documented(package)) == []


@pytest.mark.parametrize("name", WRONG_DOCSTRINGS)
def test_a_documented_error_that_cannot_be_raised_is_found(
    bake: Bake, tmp_path: Path, name: str
) -> None:
    (found,) = findings_in_added_text(
        documented_but_not_raised(with_text(bake, tmp_path, WRONG_DOCSTRINGS[name]))
    )
    assert " documents HttpError 40" in found


@pytest.mark.parametrize("name", MISSING_DOCSTRINGS)
def test_an_undocumented_error_is_found(bake: Bake, tmp_path: Path, name: str) -> None:
    (found,) = findings_in_added_text(
        raised_but_not_documented(with_text(bake, tmp_path, MISSING_DOCSTRINGS[name]))
    )
    assert " does not document that it raises HttpError " in found


def test_a_function_that_catches_the_error_need_not_document_it(bake: Bake, tmp_path: Path) -> None:
    package = with_text(bake, tmp_path, CAUGHT_ERROR)
    assert (
        findings_in_added_text(documented_but_not_raised(package))
        + findings_in_added_text(raised_but_not_documented(package))
        == []
    )


def documented_but_not_raised(package: Package) -> Iterator[str]:
    """Functions that document an error of this package which they cannot raise.

    Functions that call the backend are left out: only one database may raise the error.
    """
    for function in package.functions:
        if "backend" in function.names:
            continue
        for entry in package.documented(function):
            if entry.name in package.errors and not function.is_abstract:
                possible = package.possible[function]
                if not any(covers(package, entry, raised) for raised in possible):
                    names = sorted(map(str, possible))
                    yield f"{function} documents {entry}, and can raise {names}"


def raised_but_not_documented(package: Package) -> Iterator[str]:
    """Public functions that raise an error of this package without documenting it."""
    for function in package.functions:
        if not package.is_face(function) or is_entry_point(function):
            continue
        # Without the codes, since a sentence may describe the error in other words.
        documented = [replace(entry, code=None) for entry in package.documented(function)]
        silent = [
            raised
            for raised in package.certain[function]
            if not any(covers(package, entry, raised) for entry in documented)
        ]
        if silent:
            names = ", ".join(sorted(map(str, silent)))
            yield f"{function} does not document that it raises {names}"


def is_entry_point(function: Function) -> bool:
    """Whether a framework calls it: a route, or the command line, where errors are printed."""
    return bool(function.decorators & ROUTES) or ".cli" in function.module.name


def covers(package: Package, documented: Raised, raised: Raised) -> bool:
    """Whether a documented error is the one that is raised, or a base of it, as far as known."""
    known = ((documented.status, raised.status), (documented.code, raised.code))
    return documented.name in package.errors[raised.name] and all(
        None in (one, other) or one == other for one, other in known
    )


def findings_in_added_text(found: Iterator[str]) -> list[str]:
    """The findings in the module that ``with_text`` extends."""
    return [line for line in found if line.startswith("my_service.accounts.administration: ")]


def with_text(bake: Bake, tmp_path: Path, text: str) -> Package:
    """A service's package with a text at the end of one of its modules."""
    folder = tmp_path / "my_service"
    shutil.copytree(bake(database="sqlite") / "src" / "my_service", folder)
    path = folder / "accounts" / "administration.py"
    path.write_text(path.read_text(encoding="utf-8") + "\n" + text, encoding="utf-8")
    return Package(folder)
