"""A stored user has the written values, with times in UTC."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.orm import Session

from {{ cookiecutter.package_name }}.accounts.models import User


def _ada() -> User:
    return User(email="ada@example.com", name="Ada", password_hash="!")


def test_a_new_user_has_defaults_and_an_id(session: Session) -> None:
    user = _ada()
    session.add(user)
    session.commit()
    assert user.id.version == 4
    assert (user.is_active, user.email_verified) == (True, False)


def test_times_are_returned_in_utc(session: Session) -> None:
    noon_in_india = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    user = _ada()
    user.last_login_at = noon_in_india
    session.add(user)
    session.commit()
    assert user.last_login_at == noon_in_india
    assert user.last_login_at.tzinfo is UTC
    assert user.created_at.tzinfo is UTC


def test_a_time_without_a_zone_is_refused(session: Session) -> None:
    user = _ada()
    user.last_login_at = datetime(2026, 1, 1)
    session.add(user)
    with pytest.raises(StatementError, match="has no timezone"):
        session.commit()


def test_updating_a_user_changes_updated_at(session: Session) -> None:
    user = _ada()
    session.add(user)
    session.commit()
    before = user.updated_at
    user.name = "Countess of Lovelace"
    session.commit()
    assert user.updated_at > before


def test_two_users_cannot_share_an_address(session: Session) -> None:
    session.add_all([_ada(), _ada()])
    with pytest.raises(IntegrityError):
        session.commit()
