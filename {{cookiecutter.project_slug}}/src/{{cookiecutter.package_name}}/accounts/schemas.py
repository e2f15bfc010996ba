"""The requests and answers of the routes of accounts."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from .fields import Email, EmailedToken, Name, Password


class Registration(BaseModel):
    """A person who wants an account."""

    email: Email
    password: Password
    name: Name


class Credentials(BaseModel):
    """A user who signs in."""

    email: Email
    password: Password


class EmailAddress(BaseModel):
    """The address for a link."""

    email: Email


class Verification(BaseModel):
    """The token from the mailed link, and the chosen password; if it is missing, it is deleted."""

    token: EmailedToken
    password: Password | None = None


class PasswordReset(BaseModel):
    """The token from the mailed link, and the new password."""

    token: EmailedToken
    password: Password


class PasswordChange(BaseModel):
    """The current password and the new one."""

    current_password: Password
    password: Password


class Message(BaseModel):
    """A text about the next step."""

    message: str = Field(examples=["Follow the link in the mail to ada@example.com."])


class AccessToken(BaseModel):
    """Send it as ``Authorization: Bearer …``."""

    access_token: str = Field(examples=["eyJhbGciOiJIUzI1NiIs…"])
    token_type: Literal["bearer"] = "bearer"
    expires_in: int = Field(description="Seconds.", examples=[3600])


class Profile(BaseModel):
    """A user's own data."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    email: str = Field(examples=["ada@example.com"])
    name: str = Field(examples=["Ada Lovelace"])
    email_verified: bool
    last_login_at: datetime | None
    created_at: datetime
    updated_at: datetime


class ProfileChange(BaseModel):
    """A user's changes of their own data. Omitted values do not change."""

    name: Name | None = None


class UserDetails(Profile):
    """A user's data for administrators."""

    is_active: bool
