"""Routes of users: their own account, and all users for administrators."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from ..web.admin_key import AdminDep
from ..web.dependencies import SessionDep
from ..web.pagination import PLAIN, Limit, Page
from ..web.problem_details import responses
from .administration import find_users, set_active
from .dependencies import CurrentUser
from .models import User
from .schemas import Profile, ProfileChange, UserDetails
from .tokens import end_all

me = APIRouter(prefix="/users/me", tags=["users"], responses=responses(401, 503))
admin = APIRouter(
    prefix="/users",
    tags=["administration"],
    dependencies=[AdminDep],
    responses=responses(403, 422, 429, 503),
)


@me.get("", response_model=Profile)
async def read_me(user: CurrentUser) -> User:
    """Your own account."""
    return user


@me.patch("", response_model=Profile, responses=responses(422))
def change_me(change: ProfileChange, user: CurrentUser, session: SessionDep) -> User:
    """Change your name."""
    if change.name is not None:
        user.name = change.name
        session.commit()
    return user


@me.delete("", status_code=204)
def close_account(user: CurrentUser, session: SessionDep) -> None:
    """Close your account. Your tokens are revoked for good; an administrator can reopen it."""
    user.is_active = False
    end_all(session, user.id)
    session.commit()


@admin.get("")
def list_users(
    session: SessionDep,
    search: Annotated[
        str | None,
        Query(
            max_length=100,
            pattern=PLAIN,
            description="Part of a name or an address.",
        ),
    ] = None,
    active: Annotated[
        bool | None, Query(description="Only active users, or only inactive ones.")
    ] = None,
    after: Annotated[UUID | None, Query(description="`next` of the previous page.")] = None,
    limit: Limit = 50,
) -> Page[UserDetails]:
    """Users, oldest first, in pages."""
    users = find_users(session, search=search, active=active, after=after, limit=limit + 1)
    items = [UserDetails.model_validate(user) for user in users[:limit]]
    return Page(items=items, next=str(items[-1].id) if len(users) > limit else None)


@admin.post("/{user_id}/activate", response_model=UserDetails, responses=responses(404))
def activate(user_id: UUID, session: SessionDep) -> User:
    """Let a user sign in again."""
    return set_active(session, user_id, True)


@admin.post("/{user_id}/deactivate", response_model=UserDetails, responses=responses(404))
def deactivate(user_id: UUID, session: SessionDep) -> User:
    """Deactivate a user. Their tokens are revoked at once and for good."""
    return set_active(session, user_id, False)
