"""Functions for administrators: find users, activate and deactivate them."""

from uuid import UUID

from sqlalchemy import or_, select, tuple_, update
from sqlalchemy.orm import Session

from . import errors
from .models import User
from .tokens import end_all


def find_users(
    session: Session, *, search: str | None, active: bool | None, after: UUID | None, limit: int
) -> list[User]:
    """Users, oldest first, starting after the user ``after``."""
    statement = select(User).order_by(User.created_at, User.id).limit(limit)
    if search:
        matches = (column.icontains(search, autoescape=True) for column in (User.email, User.name))
        statement = statement.where(or_(*matches))
    if active is not None:
        statement = statement.where(User.is_active == active)
    if after is not None:
        # The database compares its own stored value, so that no time is rounded.
        last = select(User.created_at, User.id).where(User.id == after).scalar_subquery()
        statement = statement.where(tuple_(User.created_at, User.id) > last)
    return list(session.scalars(statement))


def set_active(session: Session, user_id: UUID, active: bool) -> User:
    """Activate or deactivate a user. Deactivating revokes their tokens at once and for good.

    Raises:
        HttpError: 404, there is no such user.
    """
    statement = update(User).where(User.id == user_id).values(is_active=active).returning(User)
    user = session.scalar(statement)
    if not active:
        end_all(session, user_id)
    session.commit()
    if user is None:
        raise errors.user_unknown()
    return user
