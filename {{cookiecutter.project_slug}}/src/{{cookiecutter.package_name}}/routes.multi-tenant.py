"""Every router of the service. Add yours here."""

from .accounts.auth_routes import router as auth
from .accounts.user_routes import admin, me
from .tenants.routes import router as tenants
from .web.health import router as health

ROUTERS = (health, auth, me, admin, tenants)
