"""The engine's use of undocumented parts of Alembic.

Two other modules use some too: ``lint.observe`` begins a transaction for each migration, and
``tenants.recording`` copies a context.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, TextIO

from alembic import op
from alembic.autogenerate.render import _repr_type
from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionMap
from alembic.util import load_python_file, to_tuple
from sqlalchemy import Connection, text
from sqlalchemy.schema import CreateTable, ExecutableDDLElement
from sqlalchemy.types import TypeDecorator

from .backends import backend
from .config import MigrationConfig
from .scope import Body, Fills, Scope

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext


# -- Files -----------------------------------------------------------------------------------------


def import_file(path: Path) -> ModuleType:
    """A migration file as a module; it is executed."""
    return load_python_file(path.parent, path.name)


def make_script(module: ModuleType, path: Path) -> Script:
    """Alembic's view of one file."""
    return Script(module, module.revision, str(path))


def make_directory(config: MigrationConfig, scripts: Sequence[Script]) -> ScriptDirectory:
    """Alembic's view of the folder, from scripts that are already loaded.

    Raises:
        RevisionError: they do not form a chain.
        KeyError: one depends on a missing revision.
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
    """Let ``alembic.op`` use this context inside the block, and the previous one afterwards."""
    former = Operations(op.get_context())
    try:
        with Operations.context(context):
            yield
    finally:
        former._install_proxy()


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


# -- Runs ------------------------------------------------------------------------------------------


def context_options(config: MigrationConfig, *hooks: Callable[..., None]) -> dict[str, Any]:
    """Options for Alembic's ``context.configure``.

    Args:
        hooks: called after each step, in its transaction.
    """
    return {
        "target_metadata": config.scope.tables(config.load_metadata()),
        "on_version_apply": hooks,
        "transactional_ddl": True,
        "scope": config.scope,
        "fills": config.scope.fills if config.awaits_backfills else Fills.NEVER,
        "service": config.service,
        "version_table": config.version_table,
        "render_item": _render_stored_type,
        "include_name": lambda name, type_, _: (
            type_ != "table" or not config.leaves_out(name or "")
        ),
        **backend.ALEMBIC_OPTIONS,
    }


def _render_stored_type(type_: str, item: Any, context: "AutogenContext") -> str | Literal[False]:
    if type_ != "type":
        return False
    if isinstance(item, TypeDecorator):
        # A migration names the database's type, not a class that may change later.
        assert context.dialect is not None
        return _repr_type(item.load_dialect_impl(context.dialect), context)
    return backend.render_type(item, context.imports) or False


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
