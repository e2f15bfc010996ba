"""Runs in a service's folder: creates its tables and a signed-in user, prints the token."""

from my_service.accounts.models import User
from my_service.accounts.tokens import Tokens
from my_service.database.backend import connect
from my_service.settings import load_settings
from my_service.web.request_database import BINDING_HEADERS
from tests.schema import HEADERS, open_session, prepare

settings = load_settings()
engine = connect(settings)
prepare(engine)
binding = {claim: HEADERS[header] for claim, header in BINDING_HEADERS.items()}
with open_session(engine) as session:
    user = User(email="ada@example.com", name="Ada", password_hash="!", email_verified=True)
    session.add(user)
    session.flush()
    token = Tokens(settings, binding).issue(session, user, "access")
    session.commit()
print(token)
