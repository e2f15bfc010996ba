"""Everything that a migration's body can observe is a reason not to replay it.

A recorded body uses each public name of the installed SQLAlchemy's, Alembic's and psycopg's
classes. A name of a new version fails here until somebody decides if it is harmless.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import copy
from operator import attrgetter
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic import op
from alembic.ddl.postgresql import PostgresqlImpl
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from my_service.migrate.file_state import remembers
from my_service.migrate.tenants.inputs import find_outside_input
from my_service.migrate.tenants.recording import Recording, is_several, uses_session
from my_service.migrate.tenants.scope import TenantScope
from my_service.migrate.tenants.watched import watched
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from tenants.support import server_url

Look = Callable[[], object]

# Bodies here only open cursors and observe.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Base(DeclarativeBase):  # type: ignore[misc, unused-ignore]
    """Models of this test."""


class Thing(Base):
    """A temporary table's row."""

    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]


def names(thing: object) -> list[str]:
    """The public names of an object or class."""
    return [name for name in dir(thing) if not name.startswith("_")]


@pytest.fixture(scope="module")
def connection() -> Iterator[sa.Connection]:
    """A connection with a table that every test may use."""
    engine = sa.create_engine(server_url("postgres"), poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TEMP TABLE things (id serial PRIMARY KEY, name text)")
        connection.commit()
        yield connection
        connection.rollback()
    engine.dispose()


@pytest.fixture
def context(connection: sa.Connection) -> MigrationContext:
    """The context in which the engine runs a body."""
    scope = TenantScope("acme", None)
    hooks = (scope.commit,)
    return MigrationContext.configure(connection, opts={"scope": scope, "on_version_apply": hooks})


@pytest.fixture
def why(connection: sa.Connection, context: MigrationContext) -> Iterator[Callable[[Look], Any]]:
    """A function that runs a body and returns why it cannot be replayed. Each run is undone."""

    def reason(look: Look) -> str | None:
        recording = Recording()
        with Operations.context(context), recording, suppress(Exception):
            recording.begin(connection)
            recording.wrap(lambda: look() and None)()
        if not connection.closed:
            connection.rollback()
        why: str | None = recording.not_replayable_because
        return why

    yield reason


def test_a_body_that_reads_no_result_can_be_replayed(
    why: Callable[[Look], Any],
) -> None:
    def body() -> None:
        op.execute("CREATE TABLE one (id int)")
        op.get_bind().execute(sa.text("INSERT INTO one VALUES (:id)"), [{"id": 1}, {"id": 2}])
        op.get_bind().exec_driver_sql("DELETE FROM one")
        op.add_column("one", sa.Column("two", sa.Integer))
        assert isinstance(op.get_bind(), sa.Connection)
        assert op.get_context().dialect.name == op.get_bind().dialect.name == "postgresql"

    assert why(body) is None


CONNECTION_HARMLESS = {
    "dialect", "exec_driver_sql", "execute", "in_transaction", "schema_for_object",
}  # fmt: skip


def test_every_use_of_a_connection_is_detected(
    why: Callable[[Look], Any], connection: sa.Connection
) -> None:
    every = [*names(connection), "engine", "dialect", "__enter__", "__exit__", "_any_private_name"]
    unseen = {name for name in every if why(lambda n=name: getattr(op.get_bind(), n)) is None}  # type: ignore[misc]
    assert unseen == CONNECTION_HARMLESS
    assert why(lambda: op.get_bind().__enter__())
    assert why(lambda: setattr(op.get_bind(), "info", {}))
    assert why(lambda: sa.inspect(op.get_bind()).has_table("things"))
    assert why(lambda: sa.Connection.scalar(op.get_bind(), sa.text("SELECT 1")))


@pytest.mark.parametrize("sql", ["SELECT 1 AS n", "INSERT INTO things DEFAULT VALUES", "RESET x.y"])
def test_every_use_of_a_result_is_detected(
    why: Callable[[Look], Any], connection: sa.Connection, sql: str
) -> None:
    result = connection.execute(sa.text("SELECT 1"))
    special = {"__enter__", "__exit__", "__iter__", "__next__"}
    every = [*names(result), *special]
    assert special == {n for n in dir(result) if n[:2] == "__"} - set(dir(object)) - {
        "__annotations__", "__class_getitem__", "__dict__", "__module__", "__orig_bases__",
        "__parameters__", "__slots__",
    }  # fmt: skip
    for name in every:
        assert why(lambda n=name: getattr(op.get_bind().execute(sa.text(sql)), n)), name  # type: ignore[misc]
    assert why(lambda: iter(op.get_bind().execute(sa.text("SELECT 1"))))
    assert why(lambda: next(op.get_bind().execute(sa.text("SELECT 1"))))
    assert why(lambda: op.get_bind().execute(sa.text("SELECT 1")).__enter__())
    assert why(lambda: op.get_bind().exec_driver_sql("SELECT 1").rowcount)


def test_an_unused_result_does_not_prevent_a_replay(why: Callable[[Look], Any]) -> None:
    assert why(lambda: op.get_bind().execute(sa.text("SELECT 1"))) is None
    assert why(lambda: op.execute("INSERT INTO things DEFAULT VALUES RETURNING id")) is None


SESSION_LOOKS: dict[str, Callable[[Session], object]] = {
    "bulk_insert_mappings": lambda s: s.bulk_insert_mappings(sa.inspect(Thing), [{"id": 1}]),
    "bulk_save_objects": lambda s: s.bulk_save_objects([Thing(id=1)]),
    "bulk_update_mappings": lambda s: s.bulk_update_mappings(
        sa.inspect(Thing), [{"id": 1, "name": "x"}]
    ),
    "commit": lambda s: (s.add(Thing(id=1)), s.commit()),
    "connection": lambda s: s.connection(),
    "execute": lambda s: s.execute(sa.text("SELECT 1")),
    "flush": lambda s: (s.add(Thing(id=1)), s.flush()),
    "get": lambda s: s.get(Thing, 1),
    "get_one": lambda s: s.get_one(Thing, 1),
    "merge": lambda s: s.merge(Thing(id=1)),
    "merge_all": lambda s: s.merge_all([Thing(id=1)]),
    "query": lambda s: s.query(Thing).count(),
    "refresh": lambda s: (s.add(one := Thing(id=1)), s.flush(), s.refresh(one)),
    "scalar": lambda s: s.scalar(sa.text("SELECT 1")),
    "scalars": lambda s: s.scalars(sa.text("SELECT 1")),
}
# These observe the session, and not the database.
SESSION_HARMLESS = {
    "add", "add_all", "begin", "begin_nested", "bind_mapper", "bind_table", "close",
    "connection_callable", "delete", "delete_all", "deleted", "dirty", "dispatch",
    "enable_relationship_loading", "execution_options", "expire", "expire_all", "expunge",
    "expunge_all", "get_bind", "get_nested_transaction", "get_transaction", "identity_key",
    "in_nested_transaction", "in_transaction", "info", "invalidate", "is_active", "is_modified",
    "new", "no_autoflush", "object_session", "prepare", "reset", "rollback",
}  # fmt: skip


def test_every_query_of_a_session_is_detected(why: Callable[[Look], Any]) -> None:
    assert set(names(Session)) == SESSION_LOOKS.keys() | SESSION_HARMLESS
    for name, look in SESSION_LOOKS.items():
        assert why(lambda look=look: look(Session(op.get_bind()))), name  # type: ignore[misc]
        assert why(lambda look=look: look(Session(bind=op.get_context().bind))), name  # type: ignore[misc]
    assert why(lambda: Session(op.get_bind()).get_bind()) is None


CONTEXT_HARMLESS = {"as_sql", "bind", "connection", "dialect", "impl", "opts"}


def test_every_use_of_the_context_of_alembic_is_detected(
    why: Callable[[Look], Any], context: MigrationContext
) -> None:
    every = {*names(context), "opts", "connection", "impl", "script"}
    unseen = {name for name in every if why(lambda n=name: getattr(op.get_context(), n)) is None}  # type: ignore[misc]
    assert unseen == CONTEXT_HARMLESS
    for name in [*names(TenantScope("acme", None)), "__dict__"]:
        look = lambda n=name: getattr(op.get_context().opts["scope"], n)  # noqa: E731  # type: ignore[misc]
        assert (why(look) is None) == (name == "runs"), name
    assert why(lambda: list(op.get_context().opts["on_version_apply"]))


def test_harmless_names_never_give_the_real_connection(
    why: Callable[[Look], Any], connection: sa.Connection
) -> None:
    """Harmless names lead only to the proxy, never to the connection."""
    found: list[object] = []

    def body() -> None:
        context: Any = op.get_context()
        impl = context.impl
        found.extend([context.bind, context.connection, impl.bind, op.get_bind()])
        found.extend([*vars(impl).values(), *context.opts.values(), *impl.context_opts.values()])

    assert why(body) is None
    assert len(found) > 10
    assert all(one is not connection for one in found)
    assert why(lambda: op.get_context().impl.connection.scalar(sa.text("SELECT 1")))


@pytest.mark.parametrize("kind", [psycopg.Connection, psycopg.Cursor, psycopg.ServerCursor])
def test_every_access_to_the_driver_is_detected(why: Callable[[Look], Any], kind: type) -> None:
    ways: list[Callable[[], Any]] = [
        lambda: op.get_bind().connection.driver_connection,
        lambda: op.get_bind().connection.dbapi_connection,
        lambda: op.get_context().impl.connection.connection.driver_connection,
        lambda: Session(op.get_bind()).connection().connection.driver_connection,
        lambda: op.get_bind().execute(sa.text("SELECT 1")).context.cursor.connection,
        lambda: op.get_bind().engine.raw_connection().driver_connection,
    ]
    for way in ways:
        assert why(way)
    for name in names(kind):

        def look(name: str = name) -> object:
            raw = op.get_bind().connection.driver_connection
            thing: Any = raw
            if kind is not psycopg.Connection:
                thing = raw.cursor("named" if kind is psycopg.ServerCursor else "")
            return getattr(thing, name, None)

        assert why(look), name


# Names of operations that give the body nothing of the database.
OPERATIONS = {
    "add_column", "alter_column", "batch_alter_table", "bulk_insert", "create_check_constraint",
    "create_exclude_constraint", "create_foreign_key", "create_index", "create_primary_key",
    "create_table", "create_table_comment", "create_unique_constraint", "drop_column",
    "drop_constraint", "drop_index", "drop_table", "drop_table_comment", "execute", "f",
    "inline_literal", "rename_table",
}  # fmt: skip
# These lead to the proxies, or know nothing of a database.
HARMLESS = {
    "context", "create_module_class_proxy", "get_bind", "get_context", "implementation_for",
    "invoke", "register_operation", "run_async",
}  # fmt: skip
IMPLEMENTATION = {
    "add_column", "add_constraint", "adjust_reflected_dialect_options", "alter_column",
    "autogen_column_reflect", "bind", "bulk_insert", "cast_for_batch_migrate", "command_terminator",
    "compare_check_constraint", "compare_indexes", "compare_server_default", "compare_type",
    "compare_unique_constraint", "correct_for_autogen_constraints",
    "correct_for_autogen_foreignkeys", "create_column_comment", "create_index", "create_table",
    "create_table_comment", "drop_column", "drop_constraint", "drop_index", "drop_table",
    "drop_table_comment", "emit_begin", "emit_commit", "execute", "get_by_dialect",
    "identity_attrs_ignore", "prep_table_for_batch", "rename_table", "render_ddl_sql_expr",
    "render_type", "requires_recreate_in_batch", "start_migrations", "static_output",
    "transactional_ddl", "type_arg_extract", "type_synonyms", "version_table_impl",
}  # fmt: skip


def test_every_operation_of_alembic_is_classified() -> None:
    """Every operation must be classified, new ones too."""
    assert set(names(Operations)) == OPERATIONS | HARMLESS
    assert set(names(PostgresqlImpl)) == IMPLEMENTATION


def test_names_of_a_newer_version_are_detected(
    why: Callable[[Look], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sa.Connection, "count_rows", lambda self: 7, raising=False)
    monkeypatch.setattr(sa.CursorResult, "count", property(lambda self: 7), raising=False)
    assert why(lambda: op.get_bind().count_rows())
    assert why(lambda: op.get_bind().execute(sa.text("SELECT 1")).count)


def test_a_proxy_reports_operators_too() -> None:
    class Rows(list[int]):
        def __call__(self) -> int:
            return len(self)

    reported: list[str] = []
    rows = watched(Rows([1, 2]), reported.append)
    assert isinstance(rows, Rows) and reported == []
    looks: list[Callable[[], object]] = [
        lambda: len(rows), lambda: rows[0], lambda: rows(), lambda: list(rows), lambda: 1 in rows,
        lambda: rows + [3],  # noqa: RUF005
        lambda: rows.append(3), lambda: bool(rows),
    ]  # fmt: skip
    for look in looks:
        reported.clear()
        look()
        assert reported and reported[0].startswith("Rows.")
    assert rows() == 3


def test_the_engines_own_queries_are_not_replayed() -> None:
    recording = Recording()
    recording.add("  -- why\n-- and how\nSELECT 1", None, many=False)
    recording.commit()
    assert recording.not_replayable_because is None


def value_of(default: Any) -> Any:
    """The value of a sequence or default that is executed by itself, which SQLAlchemy discourages."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return op.get_bind().execute(default)


def test_a_sequence_gives_a_recorded_body_its_real_value(why: Callable[[Look], Any]) -> None:
    found: list[str] = []
    assert why(lambda: found.append(f"{value_of(sa.Sequence('things_id_seq'))}"))
    assert int(found[0]) > 0


def test_nothing_leads_from_a_method_to_the_connection(why: Callable[[Look], Any]) -> None:
    methods: list[object] = []
    assert (
        why(lambda: methods.extend([op.get_bind().execute, op.get_bind().exec_driver_sql])) is None
    )
    assert [names(method) for method in methods] == [[], []]


@pytest.mark.parametrize(
    "look",
    [
        lambda: op.execute("SELECT 1/0"),
        lambda: op.get_bind().execute(sa.text("SELECT 1"), execution_options={"yield_per": 1}),
        lambda: op.execute(sa.text("SELECT 1").execution_options(stream_results=True)),
        lambda: Base.metadata.create_all(op.get_bind()),
        lambda: op.execute("CREATE TABLE a (); CREATE TABLE b ()"),
        lambda: op.execute("CREATE TEMP TABLE a ()"),
        lambda: op.get_bind().execute(sa.text("SELECT :x"), {"x": memoryview(b"x")}),
        lambda: value_of(sa.Sequence("things_id_seq")),
        lambda: value_of(sa.ColumnDefault(sa.text("(SELECT count(*) FROM things)"))),
        lambda: copy(op.get_bind()).scalar(sa.text("SELECT 1")),
        lambda: attrgetter("rowcount")(op.get_bind().execute(sa.text("DELETE FROM things"))),
        lambda: op.get_bind().dialect.has_table(op.get_bind(), "things"),
        lambda: sa.Table("things", sa.MetaData(), autoload_with=op.get_bind()),
    ],
    ids=["an error", "options", "options of a statement", "what is there", "several", "temp", "view",
         "a sequence", "a default", "a copy", "an attribute", "has_table", "reflection"],
)  # fmt: skip
def test_other_reasons_against_a_replay_are_detected(
    why: Callable[[Look], Any], look: Look
) -> None:
    assert why(look)


@pytest.mark.parametrize(
    "several",
    ["a; b", "SELECT ';'; b", "a; /* ; */ b", "SELECT $a$ ; $b$ ; $a$; b"],
)
def test_several_statements_are_recognised(several: str) -> None:
    assert is_several(several)


@pytest.mark.parametrize(
    "one",
    ["SELECT 1;", "SELECT ';'", "SELECT $a$ ; $$ ; $a$", '"a;b"', "-- ;\nx", "/* ; */ x"],
)
def test_a_single_statement_is_not_taken_for_several(one: str) -> None:
    assert not is_several(one)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TEMP TABLE a ()", "create temporary view a as select 1", "SELECT 1 INTO TEMP a",
        "SELECT currval('x')", "SELECT lastval()", "SET x.y = 1", "  -- why\n SET LOCAL x.y = 1",
        "COMMIT", "ROLLBACK", "SAVEPOINT a", "PREPARE a AS SELECT 1", "EXECUTE a", "LISTEN a",
        "DECLARE a CURSOR WITH HOLD FOR SELECT 1", "DO $$ BEGIN PERFORM pg_advisory_lock(1); END $$",
        "SELECT set_config('a.b', 'c', false)", "SELECT '--' || current_setting('a.b')", "DISCARD ALL", "INSERT INTO pg_temp.x VALUES (1)",
    ],
)  # fmt: skip
def test_statements_with_session_state_are_recognised(sql: str) -> None:
    assert uses_session(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE temperature (temp float)", "UPDATE a SET b = 1", "ALTER TABLE a SET (x = 1)",
        "INSERT INTO execute VALUES ('SET x')", "/* SET */ SELECT 1", "DELETE FROM settings",
    ],
)  # fmt: skip
def test_other_statements_do_not_count_as_session_state(sql: str) -> None:
    assert not uses_session(sql)


HEAD = "import sqlalchemy as sa\nfrom alembic import op\n"


@pytest.mark.parametrize(
    "line",
    [
        "import random", "import uuid", "import time", "import os, json", "from pathlib import Path",
        "import my_service.migrations.helpers", "from . import helpers", "import psycopg",
        "from alembic import context", "from sqlalchemy import event", "from sqlalchemy import *",
        "from sqlalchemy import create_engine", "from sqlalchemy.engine import Engine",
        "import sqlalchemy.event", "sa.event.listen(sa.Engine, 'x', print)", "sa.create_engine('x')",
        "import datetime\nnow = datetime.datetime.now()", "from datetime import date\ndate.today()",
        "open('x')", "eval('1')", "__import__('random')", "id(op)", "op.__dict__", "hash('x')",
        "getattr(datetime.date, 'to' + 'day')()", "op.get_bind().dialect.loaded_dbapi.connect('')",
        "def upgrade():\n    import random", "sa.Connection.execute = print", "del sa.Connection.execute",
        "setattr(sa.Connection, 'execute', print)", "logging.getLogger('sqlalchemy').addFilter(print)",
        "logging.getLogger('sqlalchemy').handlers.append(1)", "from logging import setLogRecordFactory",
        "sa.Column('a', default=lambda c: c.root_connection.connection.driver_connection.info)",
        "sa.Column('a', default=lambda c: c.cursor.connection.info.dsn)",
        "import logging\nlogging.os.environ['X']", "import warnings\nwarnings.sys.modules",
        "import operator\noperator.attrgetter('__self__')", "from operator import methodcaller",
        "op.get_bind().dialect.import_dbapi()", "op.get_context().impl._exec('SELECT 1')",
        "def f():\n    yield g.gi_frame.f_back",
    ],
)  # fmt: skip
def test_input_from_outside_a_migration_is_found(tmp_path: Path, line: str) -> None:
    (file := tmp_path / "001_x.py").write_text(HEAD + line)
    assert find_outside_input(file)


@pytest.mark.parametrize(
    "line",
    [
        "", "import json, re", "from datetime import date\nday = date(2026, 1, 31)",
        "from decimal import Decimal", "sa.func.now()", "from sqlalchemy import Column, text, func",
        "from sqlalchemy.dialects import postgresql", "from sqlalchemy.dialects.postgresql import UUID",
        "import sqlalchemy.types", "from sqlalchemy.orm import Session", "from typing import Any",
        "from my_service.migrate import tenant_only", "print(__name__)", "import collections.abc",
        "import logging\nlog = logging.getLogger(__name__)\nlog.info('x')",
    ],
)  # fmt: skip
def test_values_equal_for_all_tenants_do_not_count_as_input(tmp_path: Path, line: str) -> None:
    (file := tmp_path / "001_x.py").write_text(HEAD + line)
    assert find_outside_input(file) is None


@pytest.mark.parametrize(
    "line",
    [
        "seen = []", "seen: dict[str, int] = {}", "users = sa.table('users')",
        "import functools\n@functools.cache\ndef f(): ...", "def f(x=[]): ...", "class A: seen = []",
        "def f():\n    global n\n    n = 1", "def f(): f.n = 1", "for n in (1, 2):\n    pass",
    ],
)  # fmt: skip
def test_a_file_with_mutable_state_is_recognised(tmp_path: Path, line: str) -> None:
    (file := tmp_path / "001_x.py").write_text(HEAD + line)
    assert remembers(file)


@pytest.mark.parametrize(
    "line",
    [
        '"""Doc."""', "revision = '001'\nbranch_labels = None\nNAMES = ('a', 'b')", "N: int = -1",
        "def upgrade() -> None:\n    seen = []\n    seen.append(1)", "def f(x=1, *, y='a'): ...",
    ],
)  # fmt: skip
def test_a_file_without_mutable_state_is_accepted(tmp_path: Path, line: str) -> None:
    (file := tmp_path / "001_x.py").write_text(HEAD + line)
    assert not remembers(file)
