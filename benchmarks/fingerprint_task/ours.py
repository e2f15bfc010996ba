"""Fingerprints of tenants, in one query and one by one; runs inside a baked service.

Arguments: the server's address, and how many tenants at most. Prints one JSON line for each
measurement.
"""

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import sqlalchemy as sa
from my_service.migrate.drift import compare, read_fingerprints, take_snapshot

# The table of a new service, and one with everything that the catalog must write as text:
# a foreign key, a CHECK, a default of the tenant's own type, partial and expression indexes.
SCHEMAS = {
    "a new service": """
        CREATE TABLE users (
            id uuid DEFAULT gen_random_uuid() PRIMARY KEY, email varchar(254) NOT NULL,
            password_hash varchar(255) NOT NULL, name varchar(255) NOT NULL,
            is_active boolean DEFAULT true NOT NULL, email_verified boolean DEFAULT false NOT NULL,
            verification_token varchar(64), verification_token_expires_at timestamptz,
            last_login_at timestamptz, created_at timestamptz DEFAULT now() NOT NULL,
            updated_at timestamptz DEFAULT now() NOT NULL
        );
        CREATE UNIQUE INDEX users_email_idx ON users (email);
        CREATE INDEX users_email_verified_idx ON users (email_verified);
        CREATE INDEX users_is_active_idx ON users (is_active);
        CREATE INDEX users_verification_token_idx ON users (verification_token);
        CREATE INDEX users_created_at_idx ON users (created_at);
        CREATE INDEX users_active_verified_idx ON users (is_active, email_verified);
    """,
}
SCHEMAS["one with everything"] = (
    SCHEMAS["a new service"]
    + """
        CREATE TYPE state AS ENUM ('open', 'paid');
        CREATE TABLE orders (
            id bigserial PRIMARY KEY, user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
            state state DEFAULT 'open' NOT NULL, total numeric(12, 2) CHECK (total >= 0), note text
        );
        CREATE INDEX orders_open_idx ON orders (user_id) WHERE state = 'open';
        CREATE INDEX orders_note_idx ON orders (lower(note));
        CREATE VIEW paid AS SELECT u.email, o.total FROM users u JOIN orders o ON o.user_id = u.id
            WHERE o.state = 'paid';
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN NEW.updated_at = now(); RETURN NEW; END$$;
        CREATE TRIGGER touch BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
    """
)
BOOKKEEPING = """
    CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
    CREATE TABLE migration_history (id serial PRIMARY KEY, name varchar(255) NOT NULL);
"""
SINGLE = 100
ALTERATION = "ALTER INDEX {schema}.users_email_idx RENAME TO users_mail_idx"


def main(address: str, most: int) -> None:
    """Measure each kind of schema in a separate database."""
    for number, (kind, statements) in enumerate(SCHEMAS.items()):
        url = sa.make_url(address).set(drivername="postgresql+psycopg")
        with sa.create_engine(url, isolation_level="AUTOCOMMIT").connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE fingerprints_{number}")
        # As in the service: no prepared statements, so that a pooler may be used.
        engine = sa.create_engine(
            url.set(database=f"fingerprints_{number}"), connect_args={"prepare_threshold": None}
        )
        names = [f"tenant_{n:05}" for n in range(most)]
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(partial(make, engine, statements), parts(names)))
        for row in measured(engine, names):
            print(json.dumps({"schema": kind, **row}), flush=True)


def parts(names: list[str]) -> list[list[str]]:
    """A few transactions for many tenants: each table's lock takes shared memory."""
    return [names[start : start + 25] for start in range(0, len(names), 25)]


def make(engine: sa.Engine, statements: str, names: list[str]) -> None:
    """Create these tenants' schemas."""
    with engine.begin() as connection:
        for name in names:
            connection.exec_driver_sql(f"CREATE SCHEMA {name}; SET LOCAL search_path = {name}")
            connection.exec_driver_sql(statements + BOOKKEEPING)


def measured(engine: sa.Engine, names: list[str]) -> list[dict[str, Any]]:
    """The time, and the differences found."""
    rows = []
    with engine.connect() as connection:

        def one_by_one() -> None:
            for name in names[:SINGLE]:
                take_snapshot(connection, name)

        rows.append({"task": "single", "tenants": SINGLE, "seconds": seconds(one_by_one)})
        for count in (100, 1_000, 10_000):
            if count <= len(names):
                took = seconds(lambda some=names[:count]: read_fingerprints(connection, some))  # type: ignore[misc]
                rows.append({"task": "together", "tenants": count, "seconds": took})
        right = take_snapshot(connection, names[0])
        altered = names[len(names) * 2 // 3]
        connection.exec_driver_sql(ALTERATION.format(schema=altered))
        found = read_fingerprints(connection, names)
        others = [name for name in names if found[name] != right.fingerprint]
        assert others == [altered], others
        differences = [str(one) for one in compare(right, take_snapshot(connection, altered))]
    rows.append({"task": "found", "tenants": len(names), "differences": differences})
    return rows


def seconds(work: Callable[[], object], times: int = 3) -> float:
    """The fastest of a few: other load of the machine only makes it slower."""
    return min(timed(work) for _ in range(times))


def timed(work: Callable[[], object]) -> float:
    """The time in seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
