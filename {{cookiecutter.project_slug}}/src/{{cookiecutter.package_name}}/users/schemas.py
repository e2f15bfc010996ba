"""What the routes of users read and answer."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from ..auth.schemas import Name


class Profile(BaseModel):
    """What people see of themselves."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    email: str = Field(examples=["ada@example.com"])
    name: str = Field(examples=["Ada Lovelace"])
    email_verified: bool
    last_login_at: datetime | None
    created_at: datetime
    updated_at: datetime


class ProfileChange(BaseModel):
    """What people change of themselves. What is left out stays."""

    name: Name | None = None


class UserDetails(Profile):
    """What administrators see of a user."""

    is_active: bool


class UserPage(BaseModel):
    """Some users, oldest first."""

    users: list[UserDetails]
    after: UUID | None = Field(
        description="Ask with this ``after`` for the next page; null on the last."
    )
