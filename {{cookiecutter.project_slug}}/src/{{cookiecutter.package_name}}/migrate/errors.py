"""Every error of the engine that a person can act on, one function for each.

The docstring gives the cause and the cure; it appears in the guide under the error's code.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ActionableError
from ..errors import cause as cause
from ..words import count

NOTHING_RUN = "Nothing was run."
NOTHING_UNDONE = "Nothing was undone."
NO_FILE = "No file was written."


# -- The folder ----------------------------------------------------------------------------------


def folder_missing(path: Path) -> ActionableError:
    """The folder of migrations is missing, so nobody can know what is pending. Restore it."""
    return ActionableError(
        "folder-missing",
        f"There is no folder {path}.",
        "Nothing was run: without it the engine cannot know what is pending.",
        "Restore it, for example from git; an empty folder is fine for a new service.",
    )


def file_unreadable(path: Path, error: Exception) -> ActionableError:
    """The file cannot be read, or is not UTF-8. Correct its permissions or its encoding."""
    return ActionableError(
        "file-unreadable",
        f"{path.name} cannot be read: {cause(error)}",
        NOTHING_RUN,
        f"Make {path} readable, and save it as UTF-8.",
    )


def file_does_not_import(path: Path, error: BaseException) -> ActionableError:
    """The file has an error, or calls ``sys.exit``. Correct it."""
    return ActionableError(
        "file-does-not-import",
        f"{path.name} does not import: {cause(error)}",
        NOTHING_RUN,
        f"Correct {path}",
    )


def attribute_missing(path: Path, attribute: str) -> ActionableError:
    """``revision``, ``down_revision``, ``upgrade`` or ``downgrade`` is missing. Add it."""
    return ActionableError(
        "attribute-missing",
        f"{path.name} has no {attribute}.",
        "Nothing was run: a migration needs a position in the chain and both functions.",
        f"Add {attribute} to {path}",
    )


def attribute_unknown(path: Path, attribute: str, value: object, known: str) -> ActionableError:
    """A module attribute has an invalid value. Correct it."""
    return ActionableError(
        "attribute-unknown",
        f"{path.name} says {attribute} = {value!r}.",
        "Nothing was run: the engine does not know this value.",
        f"Write {known} in {path}",
    )


def body_is_not_plain(path: Path, name: str) -> ActionableError:
    """The engine cannot run ``async def`` and generators: a call returns at once and does nothing.
    Write a plain function.
    """
    return ActionableError(
        "body-is-not-plain",
        f"{name} of {path.name} is not a plain function: a call would do nothing.",
        NOTHING_RUN,
        f"Write it as: def {name}() -> None, without async and yield",
    )


def revision_unusable(path: Path, revision: object, longest: int) -> ActionableError:
    """``revision`` is a text of 1 to 32 characters. Use the number that starts the file's name."""
    return ActionableError(
        "revision-unusable",
        f"{path.name} has the revision {revision!r}, which is too long or is not a text.",
        "Nothing was run: alembic_version cannot store it.",
        f"Use the number at the start of the file's name; {longest} characters at most.",
    )


def revision_taken(first: str, second: str, revision: str, path: Path) -> ActionableError:
    """A file was copied. Give one of them another revision."""
    return ActionableError(
        "revision-taken",
        f"{first} and {second} have the same revision {revision!r}.",
        NOTHING_RUN,
        f"Give one of them another revision: {path}",
    )


def parent_missing(name: str, attribute: str, parent: str, folder: Path) -> ActionableError:
    """The file that it follows or depends on is missing. Restore it, or correct the line."""
    follows = "depends on" if attribute == "depends_on" else "follows"
    return ActionableError(
        "parent-missing",
        f"{name} {follows} revision {parent!r}, which no file has.",
        "Nothing was run: nobody knows what the missing migration does.",
        f"Restore the missing file in {folder}, or correct {attribute}.",
    )


def no_chain(error: Exception, folder: Path) -> ActionableError:
    """The ``down_revision`` lines form a circle. Correct them."""
    return ActionableError(
        "no-chain",
        f"The migration files do not form a chain: {error}",
        NOTHING_RUN,
        f"Correct the down_revision lines in {folder}",
    )


def multiple_heads(names: Sequence[str]) -> ActionableError:
    """Two branches each added a migration. Join them: ``migrate make --merge NAME``."""
    return ActionableError(
        "multiple-heads",
        f"Multiple heads: {', '.join(names)}",
        "Nothing was run: their order is not defined.",
        "Join them: migrate make --merge NAME",
    )


def files_missing(names: Sequence[str]) -> ActionableError:
    """Files of applied migrations are missing. Restore them, or run the release that has them."""
    return ActionableError(
        "files-missing",
        f"Files of {count(len(names), 'applied migration')} are missing: {', '.join(names)}",
        "Nothing was run: the database is ahead of this folder, or files were lost.",
        "Restore the files, or run the version of the service that has them.",
    )


def squash_half_applied(squashed: str, at: Sequence[str]) -> ActionableError:
    """A squashed migration makes the whole schema, so it cannot start in the middle. First apply
    all the migrations that it replaces, with a release that still has their files.
    """
    return ActionableError(
        "squash-half-applied",
        f"The database is at {', '.join(at)}: it has only some of the migrations that {squashed}"
        " replaces.",
        NOTHING_RUN,
        f"Run migrate latest with the last release that has their files; {squashed} lists them.",
    )


def squash_nothing(name: str) -> ActionableError:
    """The chain up to this migration is one file already. Name a later one."""
    return ActionableError(
        "squash-nothing",
        f"There is no migration before {name}.",
        NO_FILE,
        "Name a later migration; migrate list shows them.",
    )


def squash_not_linear(name: str, why: str) -> ActionableError:
    """Only a chain without branches can become one file, and only one migration may follow the
    squashed one directly.
    """
    return ActionableError(
        "squash-not-linear",
        f"The migrations up to {name} cannot be squashed: {why}.",
        NO_FILE,
        "Squash up to a migration before the first branch, or keep the files.",
    )


def squash_names_schema(statement: str) -> ActionableError:
    """A migration has a statement with the name of the tenant's schema. The squashed file is for
    all tenants, so none of its statements may name one.
    """
    return ActionableError(
        "squash-names-schema",
        f"A migration names the schema of its tenant: {statement}",
        NO_FILE,
        "Remove the schema's name: unqualified names mean the tenant's tables.",
    )


def squash_not_committed(names: Sequence[str]) -> ActionableError:
    """Squashing removes files, but only files that git has, so that you can restore them."""
    return ActionableError(
        "squash-not-committed",
        f"Git does not have the current content of these files: {', '.join(names)}",
        NO_FILE,
        "Commit them, then squash.",
    )


def squash_does_not_run(error: ActionableError) -> ActionableError:
    """The squashed migration, or one after it, does not run on an empty database. A later migration
    may need rows that a squashed one wrote.
    """
    return ActionableError(
        "squash-does-not-run",
        f"The squashed migration or one after it does not run: {error.problem}",
        NO_FILE,
        "Squash up to another migration, or change the later one so that it does not need these "
        "rows.",
    )


def cannot_register(table: str, error: BaseException) -> ActionableError:
    """The service may not write to ``service_instances``, or may not create it. Without a row in
    this table, a contract could remove what this instance still uses.
    """
    return ActionableError(
        "cannot-register",
        f"This instance cannot write to {table}: {cause(error)}",
        "The service does not start: a contract could remove what it uses.",
        f"Grant this user SELECT, INSERT, UPDATE and DELETE on {table}; the owner of the schema "
        "creates the table with: migrate contract",
    )


def contract_unknown(contracts: Sequence[str]) -> ActionableError:
    """A contract of a newer release removed what this release may use. Run the newer release."""
    number = count(len(contracts), "applied contract")
    return ActionableError(
        "contract-unknown",
        f"This release does not have {number}: {', '.join(contracts)}",
        "Nothing was run: a contract removes what older code uses.",
        "Run the release that has it, or undo it with that release first: migrate rollback",
    )


def files_changed(names: Sequence[str], *, is_newest: bool) -> ActionableError:
    """An applied file was edited. Restore it and write a new migration.

    If the edit does not matter: ``migrate latest --allow-changed``. If the newest migration is
    still being written: ``migrate down``, then ``migrate latest``.
    """
    anew = "If it was applied nowhere else, run it again: migrate down, then migrate latest. "
    they_were = "it was" if len(names) == 1 else "they were"
    return ActionableError(
        "files-changed",
        f"{count(len(names), 'migration')} changed after {they_were} applied: {', '.join(names)}",
        "Nothing was run: this database no longer matches its files.",
        f"{anew if is_newest else ''}"
        "Restore the files and write a new migration, or, if the change does not matter: "
        "migrate latest --allow-changed",
    )


def another_services_history(table: str, other: str, service: str) -> ActionableError:
    """Two services use one schema. Give each its own names for the two tables.

    Set ``MIGRATION_HISTORY_TABLE`` and ``MIGRATION_VERSION_TABLE``, or use two databases.
    """
    return ActionableError(
        "another-services-history",
        f"{table} holds the migrations of the service {other}; this service is {service}.",
        "Nothing was run: each service would mistake the other's migrations for its own.",
        "Set MIGRATION_HISTORY_TABLE and MIGRATION_VERSION_TABLE to other names for this service,"
        " or use another database.",
    )


def foreign_history_table(table: str, missing: Iterable[str]) -> ActionableError:
    """Another program has a table of this name. Set ``MIGRATION_HISTORY_TABLE``."""
    return ActionableError(
        "foreign-history-table",
        f"The table {table} was not made by this engine: it has no {', '.join(sorted(missing))}.",
        "Nothing was run, and the table was not changed.",
        "Set MIGRATION_HISTORY_TABLE to another name.",
    )


def backfill_unusable(path: Path, why: str) -> ActionableError:
    """A migration declares its backfill as ``backfill = Backfill(table=…, set={…})``."""
    return ActionableError(
        "backfill-unusable",
        f"The backfill of {path.name} cannot be run: {why}.",
        NOTHING_RUN,
        f'Write in {path}: phase = "backfill", and '
        'backfill = Backfill(table="users", set={"full_name": "name"})',
    )


def backfill_key_unusable(row: Mapping[str, Any], table: str, key: str) -> ActionableError:
    """The key column is missing, nullable, or not an integer, a text or a UUID."""
    return ActionableError(
        "backfill-key-unusable",
        f"The backfill {_backfill(row)} cannot go through {table} by {key!r}.",
        "No row was updated; the contracts after it wait.",
        "Give Backfill an existing key that is NOT NULL and an integer, a text or a UUID, and run: "
        "migrate latest --allow-changed",
    )


def backfill_failed(row: Mapping[str, Any], keys: str, error: BaseException) -> ActionableError:
    """One chunk was undone; earlier chunks stay. Correct the rows or the file and run it again."""
    return ActionableError(
        "backfill-failed",
        f"{_backfill(row)}: the chunk of {row['table_name']} {keys} failed: {cause(error)}",
        f"That chunk was undone. {count(row['done'], 'row')} updated before it stay; the rest, and "
        "the contracts after it, wait.",
        "Correct these rows and run: migrate latest. Or correct the file and run: "
        "migrate latest --allow-changed",
    )


def _backfill(row: Mapping[str, Any]) -> str:
    return f"{row['name']} of tenant {row['tenant']}" if row["tenant"] else str(row["name"])


# -- Making a file ---------------------------------------------------------------------------------


def name_unusable(name: str, kind: str, longest: int) -> ActionableError:
    """Use letters, digits and underscores, 100 at most."""
    return ActionableError(
        "name-unusable",
        f"{name!r} cannot be the name of a {kind}.",
        NO_FILE,
        f"Use letters, digits and underscores, {longest} at most: add_user_avatar",
    )


def phase_unknown(phase: str, known: Sequence[str]) -> ActionableError:
    """``--phase`` takes ``expand``, ``backfill`` or ``contract``."""
    return ActionableError(
        "phase-unknown",
        f"There is no phase {phase!r}.",
        NO_FILE,
        f"Use one of: {', '.join(known)}",
    )


def nothing_to_merge(slug: str) -> ActionableError:
    """``--merge`` has nothing to join. Leave it out."""
    return ActionableError(
        "nothing-to-merge",
        "There is only one head.",
        "No file was written: nothing is to be merged.",
        f"Make an ordinary one: migrate make {slug}",
    )


def database_behind(pending: Sequence[str]) -> ActionableError:
    """A new migration is the difference between the models and a database with all migrations.

    Apply the pending migrations first. ``--empty`` compares nothing.
    """
    return ActionableError(
        "database-behind",
        f"The database is behind by {count(len(pending), 'migration')}: {', '.join(pending)}",
        "No file was written: it would repeat their changes.",
        "Apply them: migrate latest. Then repeat this command.",
    )


# -- Choosing what to run --------------------------------------------------------------------------


def name_unknown(name: str) -> ActionableError:
    """See the names: ``migrate list``."""
    return ActionableError(
        "name-unknown", f"No migration is called {name!r}.", NOTHING_RUN, "See: migrate list"
    )


def name_ambiguous(name: str, found: Sequence[str]) -> ActionableError:
    """Two files have this name. Use the revision of one."""
    return ActionableError(
        "name-ambiguous",
        f"{name!r} matches {count(len(found), 'migration')}: {', '.join(found)}",
        NOTHING_RUN,
        "Use the revision of one of them, the number at its start.",
    )


def not_next(name: str, next_name: str) -> ActionableError:
    """The chain has one order. Run ``migrate up`` until it is next."""
    return ActionableError(
        "not-next",
        f"{name} is not next: {next_name} comes before it.",
        "Nothing was run: migrations form a chain, and each builds on the one before.",
        "Apply the migrations before it: migrate up",
    )


def not_newest(name: str, newest: str) -> ActionableError:
    """Undo the later migrations first: ``migrate down``."""
    return ActionableError(
        "not-newest",
        f"{name} is not the newest: {newest} was applied after it.",
        "Nothing was undone: migrations form a chain, and each builds on the one before.",
        "Undo the later migrations first: migrate down",
    )


def baseline_stays(names: Sequence[str]) -> ActionableError:
    """It was recorded as a baseline or by ``alembic stamp``, or it is a squashed migration.

    To undo it could drop tables that the engine never made. If you really want it:
    ``alembic downgrade``, which does not undo a squashed migration either.
    """
    return ActionableError(
        "baseline-stays",
        f"{', '.join(names)}: it was taken over without being run, or squashed.",
        "Nothing was undone: this could drop tables with rows that no migration here made.",
        "If you really want it, plain Alembic undoes it: alembic downgrade REVISION",
    )


def has_history(names: Sequence[str]) -> ActionableError:
    """Only a database without a recorded migration can be taken over. ``migrate status`` shows the
    recorded ones; ``migrate verify`` compares them with the schema.
    """
    return ActionableError(
        "has-history",
        f"The database has a history already: {', '.join(names)}.",
        "Nothing was recorded: a baseline is for a database that this service never migrated.",
        "Compare it with its migrations: migrate verify",
    )


def database_empty() -> ActionableError:
    """There is nothing to take over. Run the migrations, which make the tables."""
    return ActionableError(
        "database-empty",
        "The database has no tables.",
        "Nothing was recorded: there is nothing to take over.",
        "Make the tables: migrate latest",
    )


def nothing_to_take_over(folder: Path) -> ActionableError:
    """Write the first migration, or let ``migrate make`` write it on an empty database."""
    return ActionableError(
        "nothing-to-take-over",
        f"There is no migration in {folder}.",
        "Nothing was recorded: without migrations there is nothing to compare the database with.",
        "Write the first: migrate make create_tables",
    )


def reason_missing() -> ActionableError:
    """To accept differences requires a reason, which is stored in the history."""
    return ActionableError(
        "reason-missing",
        "The reason for accepting differences is empty.",
        "Nothing was recorded.",
        'Give a reason: migrate baseline --accept-differences "…"',
    )


def tables_without_history(
    name: str, error: Exception, tools: Iterable[str], tenant: str | None
) -> ActionableError:
    """A table of the first migration exists already, and no migration is recorded as applied.

    The database was made by another program or by hand, or restored without ``migration_history``.
    ``migrate baseline``, for a tenant's schema ``tenant baseline``, compares it with the migrations
    and records them, without running any.
    """
    named = ", ".join(sorted(set(tools)))
    return ActionableError(
        "tables-without-history",
        f"The {'schema' if tenant else 'database'} has tables, but no history of this service:"
        f" {name} failed: {cause(error)}" + (f" (There are tables of {named}.)" if named else ""),
        "Nothing was changed: the whole batch was rolled back.",
        f"Take it over: {f'tenant baseline {tenant}' if tenant else 'migrate baseline'}",
    )


# -- The run ---------------------------------------------------------------------------------------


def migration_failed(
    names: Sequence[str],
    error: BaseException,
    impact: str,
    paths: Sequence[str],
    command: str,
    refusal: str | None = None,
) -> ActionableError:
    """The database refused a statement, or your code raised.

    The impact says what stays: nothing of the batch, unless a migration has
    ``transaction = False`` or ends its own transaction. Correct the file or the database, and run
    it again.
    """
    if refusal is not None:
        solution = f"{refusal} Then run it again: {command}"
    else:
        solution = f"Correct {', '.join(paths)} and run it again: {command}"
    return ActionableError(
        "migration-failed",
        f"{', '.join(names)} failed: {cause(error)}",
        impact,
        solution,
    )


def called_exit(name: str, status: object) -> ActionableError:
    """A body must return, so that the engine can record it. Raise an error instead."""
    return ActionableError(
        "called-exit",
        f"{name} called sys.exit({status!r}).",
        "It is not recorded as applied.",
        f"Let {name} return, or raise an error that explains the problem.",
    )


def not_recorded(names: Sequence[str], in_memory: bool) -> ActionableError:
    """The statements ran, but afterwards the database had no record of the migration.

    The migration contains a rollback, or an in-memory database has several connections: give it
    one, ``poolclass=StaticPool``.
    """
    hint = "Give an in-memory database one connection: create_engine(…, poolclass=StaticPool)"
    return ActionableError(
        "not-recorded",
        f"The database has no record of {count(len(names), 'migration')} that ran:"
        f" {', '.join(names)}",
        "They count as pending, although their changes may be in the database.",
        hint if in_memory else "Look for a ROLLBACK in them, and compare: migrate status",
    )


def orphaned_rows(number: int, table: str, parent: str, before: int) -> ActionableError:
    """The migration broke a foreign key. Keep the referenced rows, or first remove the others.

    Rows that were orphaned before the migration are counted separately, and stop nothing.
    """
    refer = "refers" if number == 1 else "refer"
    others = f" Not counted: {count(before, 'row')} orphaned before." if before else ""
    return ActionableError(
        "orphaned-rows",
        f"{count(number, 'row')} {refer} to missing rows, the first from {table} to {parent}.",
        f"It breaks a foreign key.{others}",
        f"Make the migration keep the rows of {parent}, or remove those of {table} first.",
    )


def needs_a_direct_connection(statement: str) -> ActionableError:
    """The statement cannot run in a transaction, and the service is behind a pooler.

    The pooler may send each statement to another server session, where the schema is not set.
    Set ``MIGRATION_DATABASE_URL`` to the server itself.
    """
    return ActionableError(
        "needs-a-direct-connection",
        f"A statement cannot run in a transaction and needs one server session: {statement}",
        "It was not run: behind a pooler it could reach another schema.",
        "Set MIGRATION_DATABASE_URL to the address of the server itself, not of the pooler.",
    )


def cannot_write_sql(error: Exception) -> ActionableError:
    """``--sql`` cannot print a migration that reads rows. Run it on a copy of the database."""
    return ActionableError(
        "cannot-write-sql",
        f"A pending migration cannot be written as SQL: {cause(error)}",
        "Nothing was run. A migration that reads rows needs a database to read from.",
        "Run it on a copy of the database: migrate latest",
    )


def not_confirmed(command: str) -> ActionableError:
    """Undoing can drop tables with their rows, so in production it needs a confirmation."""
    return ActionableError(
        "not-confirmed",
        "This undoes migrations, and it was not confirmed.",
        "Nothing was undone: it may drop tables with their rows.",
        f"To confirm: {command}",
    )


def interrupted(names: Sequence[str], *, is_upgrade: bool) -> ActionableError:
    """Ctrl-C, or another signal. Migrations that were not recorded are undone; run it again."""
    return ActionableError(
        "interrupted",
        "The run was interrupted.",
        f"{'Applied' if is_upgrade else 'Undone'} and recorded before that: "
        f"{', '.join(names) or 'nothing'}.",
        f"Run it again: migrate {'latest' if is_upgrade else 'rollback'}",
    )


def schema_differs(sentences: Sequence[str], see: str = "migrate verify") -> ActionableError:
    """The run succeeded, but the schema differs from the one that the migrations make in an empty
    database: somebody altered it by hand, or edited a file after it was applied.

    ``migrate verify``, for a tenant ``tenant verify ID``, lists every difference with its cause and
    solution. Name objects of other programs in ``MIGRATION_EXCLUDED``.
    """
    return ActionableError(
        "schema-differs",
        f"The schema differs from what the migrations make: {'; '.join(sentences[:3])}"
        + (f"; and {len(sentences) - 3} more." if len(sentences) > 3 else "."),
        "The run stays applied: nothing was undone.",
        f"See each cause and solution: {see}. Name other programs' objects in MIGRATION_EXCLUDED.",
    )


def side_unknown(name: str, error: Exception) -> ActionableError:
    """A side of ``migrate diff`` is a database's address, a file that ``migrate snapshot`` wrote,
    ``models``, ``chain``, or ``tenant:ID`` in a multi-tenant service.
    """
    return ActionableError(
        "side-unknown",
        f"{name} cannot be compared: {cause(error)}",
        "Nothing was compared.",
        "Name an address, a file of migrate snapshot, models, or chain: migrate diff models chain",
    )


def not_comparable(error: Exception) -> ActionableError:
    """Each major version of a database writes its catalog differently. Take both snapshots on
    servers of the same version.
    """
    return ActionableError(
        "not-comparable",
        str(error),
        "Nothing was compared.",
        "Take both snapshots on the same major version: migrate snapshot --out FILE",
    )


# -- The lock and the database ---------------------------------------------------------------------


def lock_timeout(holder: object, seconds: float) -> ActionableError:
    """Another process migrates. Wait, raise MIGRATION_LOCK_TIMEOUT or see ``migrate unlock``."""
    return ActionableError(
        "lock-timeout",
        f"Another migrator held the lock for {count(seconds, 'second')}: {holder}.",
        NOTHING_RUN,
        "Wait for it, raise MIGRATION_LOCK_TIMEOUT, or end it: migrate unlock --force",
    )


def database_away(address: str, error: BaseException) -> ActionableError:
    """It is down, or ``DATABASE_URL`` is wrong. The text after the colon is the driver's."""
    return ActionableError(
        "database-away",
        f"The database {address} does not answer: {cause(error)}",
        NOTHING_RUN,
        "Start it, or correct DATABASE_URL.",
    )


def database_refuses(address: str, error: BaseException, solution: str) -> ActionableError:
    """The database answers but refuses: a permission, a password, a limit or a file.

    The text after the colon is the driver's; the solution names the reason.
    """
    return ActionableError(
        "database-refuses",
        f"The database {address} refuses: {cause(error)}",
        "The command did nothing.",
        solution,
    )


def database_lost(names: Sequence[str], error: BaseException) -> ActionableError:
    """The connection broke. Uncommitted changes are undone; see ``migrate status``."""
    return ActionableError(
        "database-lost",
        f"The connection was lost while {names[0]} or a later one ran: {cause(error)}",
        "Uncommitted changes are undone; it is not known yet how many migrations are applied.",
        "When the database answers again, see what is applied: migrate status",
    )


def transaction_begun() -> ActionableError:
    """Your code passed an engine whose connections are already in a transaction. Pass another."""
    return ActionableError(
        "transaction-begun",
        "The engine's connection has already begun a transaction.",
        "Nothing was run: the code that began it could undo the migrations.",
        "Commit or roll back first, or pass a separate engine.",
    )


def no_engine(given: str) -> ActionableError:
    """You passed a connection or a session. Pass the Engine."""
    return ActionableError(
        "no-engine",
        f"The migration engine takes a SQLAlchemy Engine, not {given}.",
        "Nothing was run: other code may end the connection's transaction.",
        "Pass an Engine from create_engine(…); you can have one in addition to an AsyncEngine.",
    )


def wrong_driver(driver: str, right: str) -> ActionableError:
    """The engine needs a synchronous driver of this service's database."""
    return ActionableError(
        "wrong-driver",
        f"The migration engine of this service cannot work with {driver}.",
        NOTHING_RUN,
        f'Create a separate engine for migrations: create_engine("{right}")',
    )


# -- The linter ------------------------------------------------------------------------------------


def lint_findings(names: Sequence[str]) -> ActionableError:
    """MIGRATION_LINT is ``error``, and a pending migration would hurt a live site.

    ``migrate lint`` shows each finding with the safe form. To accept a finding, write in the
    migration: ``lint_ignore = {"code": "reason"}``.
    """
    return ActionableError(
        "lint-findings",
        f"Linting has findings that would hurt a live site in {', '.join(names)}.",
        "Nothing was run: MIGRATION_LINT is error.",
        "See the findings and the safe forms: migrate lint",
    )


def does_not_run_on_empty(name: str, path: Path, error: BaseException) -> ActionableError:
    """Linting first applies the earlier migrations to an empty database, and one of them failed.

    The usual cause is a migration that expects rows; it would also fail on every new database.
    """
    return ActionableError(
        "does-not-run-on-empty",
        f"{name} does not run on an empty database: {cause(error)}",
        "Nothing was linted: the earlier migrations must run on an empty database first.",
        f"Correct {path}, so that it also runs on empty tables.",
    )


def linting_failed(error: BaseException) -> ActionableError:
    """The linter itself failed, or the scratch database was lost.

    With MIGRATION_LINT=warn, commands say so and continue; with ``error`` they stop.
    """
    return ActionableError(
        "linting-failed",
        f"Linting itself failed: {cause(error)}",
        "The effect of the migrations on a live site is not known. No table of the service was "
        "touched.",
        "Try again; if it fails again, report it, and set MIGRATION_LINT=off meanwhile.",
    )


def lint_ignore_unusable(path: Path) -> ActionableError:
    """``lint_ignore`` is a dict from the code of a finding to the reason for accepting it."""
    return ActionableError(
        "lint-ignore-unusable",
        f"lint_ignore of {path.name} is not a dict of texts.",
        "Nothing was linted.",
        f"Write in {path}: " + 'lint_ignore = {"code": "reason"}',
    )


# -- Seeds -----------------------------------------------------------------------------------------


def seed_taken(slug: str) -> ActionableError:
    """Choose another name, or edit the existing seed."""
    return ActionableError(
        "seed-taken",
        f"There is already a seed called {slug!r}.",
        "No file was written, and none was overwritten.",
        "Choose another name, or edit the existing seed.",
    )


def seed_unknown(name: str, directory: Path) -> ActionableError:
    """See the files in ``seeds/``."""
    return ActionableError(
        "seed-unknown",
        f"No seed is called {name!r}.",
        NOTHING_RUN,
        f"See the files in {directory}",
    )


def seed_does_not_load(path: Path, error: BaseException) -> ActionableError:
    """The file has an error, or no ``run(session)``."""
    return ActionableError(
        "seed-does-not-load",
        f"Seed {path.name} does not load: {cause(error)}",
        "No seed was run.",
        f"Correct {path}; it needs a function run(session).",
    )


def seed_failed(path: Path, error: BaseException) -> ActionableError:
    """The seed was undone; earlier seeds stay. Correct it and run it again."""
    return ActionableError(
        "seed-failed",
        f"Seed {path.stem} failed: {cause(error)}",
        "Its changes were undone; earlier seeds stay.",
        f"Correct {path} and run it again: seed run {path.stem}",
    )
