"""Fetch the newest Python that services support, if the machine's own is older.

    uv run python -m tools.newest_python

prints the interpreter's path. uv downloads interpreters from a server that not every network
can reach. Debian's next release has one too: apt fetches its packages, which are unpacked into
``.cache`` together with their C library. Nothing is installed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tools.process import succeed
from tools.services import CACHE, find_uv

VERSION = "3.14"
SUITE = "sid"
FOLDER = CACHE / f"python-{VERSION}"
SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
LIBRARIES = FOLDER / "usr" / "lib" / "x86_64-linux-gnu"
# Libraries that wheels expect, in addition to the interpreter's dependencies.
PACKAGES = (f"python{VERSION}-minimal", f"libpython{VERSION}-stdlib", "libstdc++6")


def find() -> Path | None:
    """The interpreter on the PATH, or a previously fetched one."""
    fetched = FOLDER / "usr" / "bin" / f"python{VERSION}"
    on_path = shutil.which(f"python{VERSION}")
    return Path(on_path) if on_path else fetched if works(fetched) else None


def works(python: Path) -> bool:
    """Whether it starts and imports the modules that need a library."""
    command = [str(python), "-c", "import bz2, ctypes, lzma, sqlite3, ssl, zlib"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def fetch() -> None:
    """Unpack Debian's interpreter into ``.cache``.

    Raises:
        AssertionError: apt or patchelf failed.
        OSError: this machine is not Debian.

    """
    shutil.rmtree(FOLDER, ignore_errors=True)
    apt = FOLDER / "apt"
    for folder in ("etc", "state/lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True)
    (apt / "state" / "status").touch()  # an empty status, so that every dependency is fetched
    (apt / "etc" / "sources.list").write_text(source())
    (apt / "apt.conf").write_text(
        f'Dir::State "{apt}/state"; Dir::State::status "{apt}/state/status";\n'
        f'Dir::Cache "{apt}/cache"; Dir::Etc::sourcelist "{apt}/etc/sources.list";\n'
        f'Dir::Etc::sourceparts "{apt}/etc/none"; APT::Install-Recommends "false";\n'
        'APT::Sandbox::User ""; Debug::NoLocking "true";\n'
    )
    variables = {"APT_CONFIG": str(apt / "apt.conf")}
    for words in (["update"], ["install", "--yes", "--download-only", *PACKAGES]):
        succeed("apt-get", "--quiet", *words, cwd=FOLDER, variables=variables, timeout=300)
    for package in (apt / "cache" / "archives").glob("*.deb"):
        succeed("dpkg", "--extract", package, FOLDER, cwd=FOLDER)
    shutil.rmtree(apt)
    bind_to_its_libraries(FOLDER / "usr" / "bin" / f"python{VERSION}")


def source() -> str:
    """The machine's own mirror, with Debian's next release."""
    fields = dict(re.findall(r"^(URIs|Signed-By): *(\S+)", SOURCES.read_text(), re.MULTILINE)[:2])
    return f"deb [signed-by={fields['Signed-By']}] {fields['URIs']} {SUITE} main\n"


def bind_to_its_libraries(python: Path) -> None:
    """Let it use the unpacked C library, which may be newer than the machine's."""
    succeed(
        *(find_uv(), "tool", "run", "--quiet", "patchelf", "--force-rpath"),
        *("--set-interpreter", LIBRARIES / "ld-linux-x86-64.so.2", "--set-rpath", LIBRARIES),
        python,
        cwd=FOLDER,
        timeout=300,
    )


if __name__ == "__main__":
    if find() is None:
        fetch()
    sys.exit(f"Python {VERSION} does not start.") if find() is None else print(find())
