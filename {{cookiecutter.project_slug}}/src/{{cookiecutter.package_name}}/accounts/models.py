"""The tables of accounts: users and their tokens."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, false, true
from sqlalchemy.orm import Mapped, mapped_column

from ..database.base import Base, Timestamps, UuidKey


class User(Timestamps, Base):
    """A person who has an account."""

    __tablename__ = "users"
    __table_args__ = (
        Index("users_email_idx", "email", unique=True),
        Index("users_email_verified_idx", "email_verified"),
        Index("users_is_active_idx", "is_active"),
        Index("users_verification_token_idx", "verification_token"),
        Index("users_created_at_idx", "created_at"),
        Index("users_active_verified_idx", "is_active", "email_verified"),
    )

    id: Mapped[UuidKey]
    # 254 characters is the longest address that mail can carry (RFC 5321, erratum 1690).
    email: Mapped[str] = mapped_column(String(254))
    password_hash: Mapped[str] = mapped_column(String(255))
    name: Mapped[str] = mapped_column(String(255))
    is_active: Mapped[bool] = mapped_column(default=True, server_default=true())
    email_verified: Mapped[bool] = mapped_column(default=False, server_default=false())
    # The SHA-256 digest of the token, in hexadecimal: the token itself is only in the mail.
    verification_token: Mapped[str | None] = mapped_column(String(64))
    verification_token_expires_at: Mapped[datetime | None]
    last_login_at: Mapped[datetime | None]


class Token(Base):
    """A signed token that was issued and is still valid. To revoke it, delete the row."""

    __tablename__ = "tokens"
    __table_args__ = (Index("tokens_user_id_idx", "user_id"),)

    # The token's claim "jti".
    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    expires_at: Mapped[datetime]
