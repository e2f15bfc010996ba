"""Records a terminal session with the template and writes it to docs/demo.svg.

    uv run python -m tools.record_demo

``make update`` does the same, but does not write the picture if only times and numbers
changed.

Every line is real output: the commands run in a pseudo-terminal, one after the other, on a copy
of this template, in a separate folder. Only colours and the picture's frame are added here.
It needs make, and packages from the index that uv uses.
"""

from __future__ import annotations

import html
import io
import os
import re
import shutil
import tempfile
from pathlib import Path

import pexpect
from rich.console import Console
from rich.text import Text

from tools.services import SERVICE, TEMPLATE

PICTURE = TEMPLATE / "docs" / "demo.svg"
WIDTH = 96
COMMANDS = (
    "cookiecutter saasquatch-service --no-input",
    "cd my-service && uv sync --quiet",
    "make migrate-latest",
    "make migrate-make name=add_avatar",
    "make migrate-latest",
    "make migrate-status",
    "make migrate-rollback",
)
SERVE = "make dev"
PROMPT = "recorded> "


def main() -> None:
    """Record, and write the picture."""
    PICTURE.write_text(record(), encoding="utf-8")
    print(f"Wrote {PICTURE.relative_to(TEMPLATE)}")


def record() -> str:
    """Run the commands and draw their output; return the picture."""
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    with tempfile.TemporaryDirectory() as folder:
        copy_template(Path(folder) / "saasquatch-service")
        shell = start_shell(Path(folder))
        for command in COMMANDS:
            draw(console, command, type_in(shell, command))
        draw(console, SERVE, serve(shell))
        shell.close(force=True)
    picture = console.export_svg(title="saasquatch-service")
    # The reader's own font is used; the picture loads nothing.
    return re.sub(r"\s*@font-face \{.*?\}", "", picture, flags=re.DOTALL)


def shows_the_same(one: str, other: str) -> bool:
    """Whether two pictures show the same text, apart from numbers and the spaces around them."""
    return _text(one) == _text(other)


def _text(picture: str) -> str:
    shown = html.unescape(re.sub(r"<style.*?</style>|<[^>]+>", "", picture, flags=re.DOTALL))
    return re.sub(r"\s+", "", re.sub(r"\d+", "0", shown))


def draw(console: Console, command: str, output: str) -> None:
    """A command and its output."""
    console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
    if output:
        console.print(Text.from_ansi(output))


def copy_template(folder: Path) -> None:
    """Copy the parts of this template that cookiecutter reads."""
    folder.mkdir()
    shutil.copy(TEMPLATE / "cookiecutter.json", folder)
    for name in ("hooks", "templates", SERVICE.name):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(TEMPLATE / name, folder / name, ignore=ignored)


def start_shell(folder: Path) -> pexpect.spawn[str]:
    """A shell that prints only the commands' output."""
    foreign = ("VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL", "DATABASE_URL", "UV_PROJECT_ENVIRONMENT")
    kept = {name: value for name, value in os.environ.items() if name not in foreign}
    shell: pexpect.spawn[str] = pexpect.spawn(
        "sh",
        cwd=str(folder),
        env={**kept, "TERM": "xterm-256color", "PS1": ""},
        dimensions=(50, WIDTH),
        encoding="utf-8",
        timeout=300,
        echo=False,
    )
    type_in(shell, "stty -echo; true")
    return shell


def type_in(shell: pexpect.spawn[str], command: str) -> str:
    """Run a command that must succeed and return its output."""
    shell.sendline(f"{command}\nprintf '\\n%s%s%s\\n' 'reco' 'rded> ' $?")
    shell.expect(PROMPT + r"(\d+)")
    output = (shell.before or "").replace("\r\n", "\n").strip("\n")
    assert isinstance(shell.match, re.Match) and shell.match[1] == "0", output
    return output


def serve(shell: pexpect.spawn[str]) -> str:
    """Start the service, stop it when it is ready, and return its output."""
    shell.sendline(SERVE)
    shell.expect("Ready to serve[^\r\n]*")
    output = f"{shell.before}{shell.after}"
    shell.sendintr()
    shell.expect("Interrupt|Error|Shut")
    return output.replace("\r\n", "\n").strip("\n")


if __name__ == "__main__":
    main()
