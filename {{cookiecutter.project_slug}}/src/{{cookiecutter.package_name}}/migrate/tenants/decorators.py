"""The decorators of version 0.1.0, for migrations that still have them.

They set the module attribute ``schemas`` and log this.
"""

import logging
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

Body = Callable[..., None]


def shared_only(body: Body) -> Body:
    """Deprecated: replace it by the module attribute ``schemas = "shared"``."""
    return _translate(body, "shared", 'schemas = "shared"')


def tenant_only(body: Body) -> Body:
    """Deprecated: remove it. ``schemas = "tenants"`` is the default."""
    return _translate(body, "tenants", 'nothing: schemas = "tenants" is the default')


def _translate(body: Body, schemas: str, write: str) -> Body:
    module = body.__globals__
    if "schemas" not in module:
        module["schemas"] = schemas
        name = Path(module["__file__"]).stem
        log.info("%s: instead of @%s_only, write %s", name, schemas.removesuffix("s"), write)
    return body
