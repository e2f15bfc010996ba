"""The engine's use of undocumented parts of Alembic.

The other modules use only what Alembic's API pages describe, and the public attributes of its
operation objects (``alembic.operations.ops``).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from copy import copy
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TextIO

from alembic import op
from alembic.autogenerate.render import _repr_type
from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionError, RevisionMap
from alembic.util import load_python_file, to_tuple
from sqlalchemy import Connection, text
from sqlalchemy.schema import CreateTable, ExecutableDDLElement
from sqlalchemy.types import TypeEngine

from .config import MigrationConfig
from .scope import Body, Fills, Scope

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext

# The errors of files that do not form a chain; KeyError: one depends on a missing revision.
NO_CHAIN = (RevisionError, KeyError)


# -- Files -----------------------------------------------------------------------------------------


def import_file(path: Path) -> ModuleType:
    """A migration file as a module; it is executed."""
    return load_python_file(path.parent, path.name)


def make_script(module: ModuleType, path: Path) -> Script:
    """Alembic's view of one file.

    Raises:
        RevisionError: it names a revision that cannot be one.
    """
    return Script(module, module.revision, str(path))


def make_directory(config: MigrationConfig, scripts: Sequence[Script]) -> ScriptDirectory:
    """Alembic's view of the folder, from scripts that are already loaded.

    Raises:
        RevisionError, KeyError: they do not form a chain.
    """
    directory = ScriptDirectory(
        config.directory,
        file_template="%(rev)s_%(slug)s",
        truncate_slug_length=255,
        messaging_opts={"quiet": True},
    )
    directory.revision_map = RevisionMap(lambda: scripts)
    directory.get_heads()
    return directory


def parents(module: ModuleType, attribute: str) -> tuple[str, ...]:
    """The revisions that a file names in ``down_revision`` or ``depends_on``."""
    return tuple(to_tuple(getattr(module, attribute, None), default=()))


def prerequisites(script: Script) -> tuple[str, ...]:
    """The revisions that must be applied before it: ``down_revision`` and ``depends_on``."""
    return tuple(script._all_down_revisions)


# -- Bodies ----------------------------------------------------------------------------------------


def current_scope() -> Scope:
    """The scope of the running migration."""
    scope: Scope = op.get_context().opts["scope"]
    return scope


def current_service() -> str:
    """The name of the running migration's service."""
    service: str = op.get_context().opts["service"]
    return service


def current_fills() -> Fills:
    """What the running migration itself does with its backfill, if it has one."""
    fills: Fills = op.get_context().opts["fills"]
    return fills


@contextmanager
def operations_on(context: MigrationContext) -> Iterator[None]:
    """Let ``alembic.op`` use this context inside the block, and the previous one, if any, afterwards.

    Alembic's own ``Operations.context`` knows no previous one, and keeps the new one after an error.
    """
    former: Operations | None = getattr(op, "_proxy", None)
    operations = Operations(context)
    operations._install_proxy()
    try:
        yield
    finally:
        if former is not None:
            former._install_proxy()
        else:
            operations._remove_proxy()


def options_of(context: MigrationContext) -> dict[str, Any]:
    """The options that a context was configured with, the engine's own included."""
    return context.opts


def attributes_with(
    context: MigrationContext, connection: Connection, options: dict[str, Any]
) -> dict[str, Any]:
    """What ``alembic.op`` reads of a context, by name, with another connection and other options.

    ``op`` executes by ``impl``, which has a reference of its own to both.
    """
    impl = copy(context.impl)
    impl.connection, impl.context_opts = connection, options
    return {
        "as_sql": context.as_sql,
        "bind": connection,
        "connection": connection,
        "dialect": context.dialect,
        "impl": impl,
        "opts": options,
    }


@contextmanager
def outside_transaction() -> Iterator[None]:
    """Commit each statement of the running migration by itself.

    A body may still enter ``autocommit_block`` in it.
    """
    context: Any = op.get_context()
    with context.autocommit_block():
        context.autocommit_block = nullcontext
        try:
            yield
        finally:
            del context.autocommit_block


# -- Texts -----------------------------------------------------------------------------------------


def render_type(type_: TypeEngine[Any], context: "AutogenContext") -> str:
    """A type as Alembic writes it in a migration, with the imports that it needs."""
    return _repr_type(type_, context)


def command_name(config: Config) -> str:
    """The command that ``alembic`` was started with; "" if it was called from Python."""
    function = getattr(config.cmd_opts, "cmd", [None])[0]
    return getattr(function, "__name__", "")


# -- Runs ------------------------------------------------------------------------------------------


def run_steps(
    connection: Connection,
    directory: ScriptDirectory,
    steps: Iterable[tuple[Script, Body]],
    *,
    is_upgrade: bool,
    options: dict[str, Any],
) -> None:
    """Run bodies in one transaction, in this order, and record each in Alembic's table."""
    planned = [_step(directory, script, body, is_upgrade=is_upgrade) for script, body in steps]
    with EnvironmentContext(Config(), directory, fn=lambda _heads, _context: planned) as env:
        env.configure(connection=connection, **options)
        with env.begin_transaction():
            env.run_migrations()


def stamp(
    connection: Connection, directory: ScriptDirectory, revision: str, config: MigrationConfig
) -> None:
    """Write the database's revision only to Alembic's table."""
    context = MigrationContext.configure(connection, opts={"version_table": config.version_table})
    context.stamp(directory, revision)


def print_steps(
    output: TextIO,
    url: Any,
    directory: ScriptDirectory,
    scripts: Sequence[Script],
    *,
    heads: Iterable[str],
    has_version_table: bool,
    each_alone: bool,
    first: Callable[[MigrationContext], None],
    options: dict[str, Any],
) -> None:
    """Write the SQL of an upgrade.

    Args:
        heads: the applied revisions.
        has_version_table: whether Alembic's table exists.
        each_alone: whether each migration is a separate transaction.
        first: writes the SQL before the first migration.
    """

    def steps(_heads: object, context: MigrationContext) -> list[RevisionStep]:
        first(context)
        return [_step(directory, script, script.module.upgrade) for script in scripts]

    environment = EnvironmentContext(
        Config(), directory, fn=steps, as_sql=True, starting_rev=tuple(heads) or None
    )
    with environment as env:
        env.configure(
            url=url,
            output_buffer=output,
            literal_binds=True,
            dialect_opts={"paramstyle": "named"},
            transaction_per_migration=each_alone,
            **options,
        )
        context: Any = env.get_context()
        _write_exactly(
            context, output, without=options["version_table"] if has_version_table else ""
        )
        with env.begin_transaction():
            env.run_migrations()


def _write_exactly(context: Any, output: TextIO, *, without: str) -> None:
    """Write each statement unchanged.

    Alembic would turn tabs into spaces, also inside values, and would put the semicolon into a
    comment at the end.

    Args:
        without: the existing table, which is not created.
    """

    def write(construct: Any, *_: object, **__: object) -> None:
        if isinstance(construct, CreateTable) and construct.element.name == without:
            return
        if isinstance(construct, str):
            construct = text(construct)
        is_ddl = isinstance(construct, ExecutableDDLElement)
        values = {} if is_ddl else {"compile_kwargs": {"literal_binds": True}}
        statement = str(construct.compile(dialect=context.dialect, **values)).strip()
        last_line = statement.rpartition("\n")[2]
        output.write(statement + ("\n;\n\n" if "--" in last_line else ";\n\n"))

    context.impl._exec = write


def _step(
    directory: ScriptDirectory, script: Script, body: Body, *, is_upgrade: bool = True
) -> RevisionStep:
    step = RevisionStep(directory.revision_map, script, is_upgrade)
    step.migration_fn = body
    return step
