"""Writes the schemas that a service's migrations make, in the service's own format.

It runs inside a generated service, with that service's interpreter:

    python tools/schema_files.py <package> <address> <folder>

and writes ``schema.<database>.txt`` and, with tenants, ``schema.tenants.txt``. ``make update`` runs
it for every database.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import sqlalchemy as sa


def main(package: str, address: str, folder: str) -> None:
    """Write all files."""
    engine = sa.create_engine(address)
    for path, snapshot in import_module(f"{package}.migrate").read_schema_files(engine).items():
        text = snapshot.to_text()
        (Path(folder) / path.name).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    sys.path.insert(0, "src")
    main(*sys.argv[1:])
