"""What the routes of accounts read and answer."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from .fields import Email, EmailedToken, Name, Password


class Registration(BaseModel):
    """Who wants an account."""

    email: Email
    password: Password
    name: Name


class Credentials(BaseModel):
    """Who signs in."""

    email: Email
    password: Password


class EmailAddress(BaseModel):
    """Where to send a link."""

    email: Email


class Verification(BaseModel):
    """The token from the link that was mailed and the password chosen, which is dropped else."""

    token: EmailedToken
    password: Password | None = None


class PasswordReset(BaseModel):
    """The token from the link that was mailed, and the new password."""

    token: EmailedToken
    password: Password


class PasswordChange(BaseModel):
    """The password as it is and as it shall be."""

    current_password: Password
    password: Password


class Message(BaseModel):
    """What happens next."""

    message: str = Field(examples=["Follow the link in the mail to ada@example.com."])


class AccessToken(BaseModel):
    """Send it as ``Authorization: Bearer …``."""

    access_token: str = Field(examples=["eyJhbGciOiJIUzI1NiIs…"])
    token_type: Literal["bearer"] = "bearer"
    expires_in: int = Field(description="Seconds.", examples=[3600])


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
