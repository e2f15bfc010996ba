"""The fixtures need packages that only a service installs; without them this file does nothing."""

from __future__ import annotations

import os

pytest_plugins = ["engine.fixtures"] if "INSIDE_DATABASE" in os.environ else []
