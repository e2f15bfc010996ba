"""Every router of the service."""

from . import health
from .auth.routes import router as auth
from .tenants.routes import router as tenants
from .users.routes import admin, me

ROUTERS = (health.router, auth, me, admin, tenants)
