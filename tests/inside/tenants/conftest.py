"""The fixtures need what only a service has installed; elsewhere this file must do no harm."""

from __future__ import annotations

import os

pytest_plugins = ["tenants.fixtures"] if "INSIDE_DATABASE" in os.environ else []
