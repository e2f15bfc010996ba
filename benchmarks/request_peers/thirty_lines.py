"""A first simple version: the same query, the same answer, and nothing else."""

import os
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import OAuth2PasswordBearer
from pydantic import BaseModel, ConfigDict
from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import DeclarativeBase, Session

engine = create_engine(os.environ["DATABASE_URL"])
app = FastAPI()


class Base(DeclarativeBase):
    pass


Base.metadata.reflect(engine, only=["users", "tokens"])
tokens = Base.metadata.tables["tokens"]


class User(Base):
    __table__ = Base.metadata.tables["users"]


class Profile(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: UUID
    email: str
    name: str
    email_verified: bool
    last_login_at: datetime | None
    created_at: datetime
    updated_at: datetime


def as_stored(value: str) -> Any:
    return str(UUID(value)) if engine.dialect.name == "sqlite" else UUID(value)


def session() -> Any:
    with Session(engine) as opened:
        yield opened


def current_user(
    token: Annotated[str, Depends(OAuth2PasswordBearer("token"))],
    session: Annotated[Session, Depends(session)],
) -> User:
    try:
        claims = jwt.decode(token, os.environ["JWT_SECRET"], ["HS256"], audience="access")
    except jwt.InvalidTokenError:
        raise HTTPException(401) from None
    ids = (tokens.c.id == as_stored(claims["jti"]), User.id == as_stored(claims["sub"]))
    user = session.scalar(
        select(User).join(tokens, tokens.c.user_id == User.id).where(*ids, User.is_active)
    )
    if user is None:
        raise HTTPException(401)
    return user


@app.get("/users/me", response_model=Profile)
def read_me(user: Annotated[User, Depends(current_user)]) -> User:
    return user


@app.get("/health/live")
async def live() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/health/ready")
def ready(session: Annotated[Session, Depends(session)]) -> dict[str, str]:
    session.execute(text("SELECT 1"))
    return {"status": "ok"}
