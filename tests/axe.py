"""axe-core, which finds accessibility problems of a page: https://github.com/dequelabs/axe-core"""

from __future__ import annotations

import shutil
from typing import Any

import pytest
from filelock import FileLock

from tools.process import run
from tools.services import CACHE

VERSION = "4.14.1"
# One call, because a reload of the page removes the script of an earlier call.
LOOK = """
const done = arguments[arguments.length - 1]
axe.run(document, { preload: false, resultTypes: ["violations"] }).then(
  (found) => done(found.violations.flatMap((one) =>
    one.nodes.map((node) => `${one.id}: ${node.html}: ${node.failureSummary}`))),
  (error) => done([`axe failed: ${error}`]))
"""


def axe_source() -> str:
    """Its script; the first call installs it by npm into ``.cache``."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("There is no npm, which brings axe-core: apt install npm")
    folder = CACHE / f"axe-core-{VERSION}"
    script = folder / "node_modules" / "axe-core" / "axe.min.js"
    CACHE.mkdir(exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not script.exists():
            quiet = ("--no-save", "--no-audit", "--no-fund", "--ignore-scripts")
            done = run(
                *(npm, "install", *quiet, "--prefix", str(folder), f"axe-core@{VERSION}"),
                cwd=CACHE,
            )
            assert done.returncode == 0, done.stderr
    return script.read_text(encoding="utf-8")


def violations(browser: Any, source: str) -> list[str]:
    """Its findings in the browser's current page."""
    found: list[str] = browser.execute_async_script(f"{source};{LOOK}")
    return found
