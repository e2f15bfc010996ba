"""Demo users. Nobody can sign in as one of them: their password hash matches no password."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from {{ cookiecutter.package_name }}.accounts.models import User

PEOPLE = {
    "ada@example.com": "Ada Lovelace",
    "grace@example.com": "Grace Hopper",
    "katherine@example.com": "Katherine Johnson",
}


def run(session: Session) -> None:
    """Add the missing ones."""
    present = set(session.scalars(select(User.email).where(User.email.in_(PEOPLE))))
    session.add_all(
        User(email=email, name=name, password_hash="!", email_verified=True)
        for email, name in PEOPLE.items()
        if email not in present
    )
