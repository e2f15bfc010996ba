"""Every router of the service. Add yours here."""

from .accounts.auth_routes import router as auth
from .accounts.user_routes import admin, me
from .operations.drift import router as drift
from .operations.page import router as status_page
from .operations.routes import router as operations
from .operations.tenants import router as tenants_state
from .tenants.routes import router as tenants
from .web.error_page import router as errors
from .web.health import router as health

ROUTERS = (
    health,
    errors,
    auth,
    me,
    admin,
    tenants,
    operations,
    tenants_state,
    drift,
    status_page,
)
