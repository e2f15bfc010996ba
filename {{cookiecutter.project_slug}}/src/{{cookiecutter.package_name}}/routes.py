"""Every router of the service."""

from . import health
from .auth.routes import router as auth
from .users.routes import admin, me

ROUTERS = (health.router, auth, me, admin)
