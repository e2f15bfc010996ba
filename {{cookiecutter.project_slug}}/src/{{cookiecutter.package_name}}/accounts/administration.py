"""Finding and switching users, for administrators."""

from uuid import UUID

from sqlalchemy import or_, select, tuple_, update
from sqlalchemy.orm import Session

from . import errors
from .models import User
from .tokens import end_all


def find_users(
    session: Session, *, search: str | None, active: bool | None, after: UUID | None, limit: int
) -> list[User]:
    """Users by age, from the one after ``after`` on."""
    statement = select(User).order_by(User.created_at, User.id).limit(limit)
    if search:
        matches = (column.icontains(search, autoescape=True) for column in (User.email, User.name))
        statement = statement.where(or_(*matches))
    if active is not None:
        statement = statement.where(User.is_active == active)
    if after is not None:
        # The database compares what it stored itself: no rounding of times on the way.
        last = select(User.created_at, User.id).where(User.id == after).scalar_subquery()
        statement = statement.where(tuple_(User.created_at, User.id) > last)
    return list(session.scalars(statement))


def set_active(session: Session, user_id: UUID, active: bool) -> User:
    """Let a user in, or keep them out: their tokens end at once, and stay so.

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
