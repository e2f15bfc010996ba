"""Every error of the engine that a person can act on, one function for each.

The docstring gives the cause and the cure; it appears in the guide under the error's code.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ActionableError
from ..words import count

NOTHING_RUN = "Nothing was run."
NOTHING_UNDONE = "Nothing was undone."
NO_FILE = "No file was written."


def cause(error: BaseException) -> str:
    """The kind of an error and the first line it says, in the driver's words where it has any."""
    said = str(getattr(error, "orig", None) or error).strip().splitlines()
    return ": ".join([type(error).__name__, *said[:1]])


# -- The folder ----------------------------------------------------------------------------------


def folder_missing(path: Path) -> ActionableError:
    """The folder of migrations is not there, so nobody can say what is pending. Restore it."""
    return ActionableError(
        "folder-missing",
        f"There is no folder {path}.",
        "Nothing was run: without it nobody can say what is pending.",
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
        "Nothing was run: a migration needs a place in the chain and a way back.",
        f"Add {attribute} to {path}",
    )


def attribute_unknown(path: Path, attribute: str, value: object, known: str) -> ActionableError:
    """A module attribute has a value that it cannot have. Correct it."""
    return ActionableError(
        "attribute-unknown",
        f"{path.name} says {attribute} = {value!r}.",
        "Nothing was run: what it means is not known.",
        f"Write {known} in {path}",
    )


def body_is_not_plain(path: Path, name: str) -> ActionableError:
    """``async def`` and generators return at once and do nothing. Write a plain function."""
    return ActionableError(
        "body-is-not-plain",
        f"{name} of {path.name} is not a plain function: calling it would do nothing.",
        NOTHING_RUN,
        f"Write it as: def {name}() -> None, without async and yield",
    )


def revision_unusable(path: Path, revision: object, longest: int) -> ActionableError:
    """``revision`` is text of 1 to 32 characters. Use the number that the file's name starts with."""
    return ActionableError(
        "revision-unusable",
        f"{path.name} has the revision {revision!r}, too long for version_num or no text.",
        "Nothing was run: alembic_version could not hold it.",
        f"Use the number that the file's name starts with; {longest} characters at most.",
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
        "Nothing was run: what the missing migration does is not known.",
        f"Restore the missing file in {folder}, or correct {attribute}.",
    )


def no_chain(error: Exception, folder: Path) -> ActionableError:
    """``down_revision`` lines point in a circle. Correct them."""
    return ActionableError(
        "no-chain",
        f"The migration files form no chain: {error}",
        NOTHING_RUN,
        f"Correct the down_revision lines in {folder}",
    )


def multiple_heads(names: Sequence[str]) -> ActionableError:
    """Two branches each added a migration. Join them: ``migrate make --merge NAME``."""
    return ActionableError(
        "multiple-heads",
        f"Multiple heads: {', '.join(names)}",
        "Nothing was run: which of them comes first is not said.",
        "Join them: migrate make --merge NAME",
    )


def files_missing(names: Sequence[str]) -> ActionableError:
    """Files in the middle of the chain were lost. Restore them, or run the release that has them."""
    return ActionableError(
        "files-missing",
        f"Files of {count(len(names), 'applied migration')} are missing: {', '.join(names)}",
        "Nothing was run: this database is ahead of this folder, or files were lost.",
        "Restore the files, or run the version of the service that has them.",
    )


def squash_half_applied(squashed: str, at: Sequence[str]) -> ActionableError:
    """A squashed migration cannot begin in the middle: its file makes the whole schema. The release
    that still has the files that it replaces takes the database to where all of them are applied.
    """
    return ActionableError(
        "squash-half-applied",
        f"The database is at {', '.join(at)}, and has only some of the migrations that {squashed}"
        " replaces.",
        NOTHING_RUN,
        f"Run migrate latest with the last release that has their files; {squashed} names them.",
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
    """Only a chain without branches becomes one file: one migration after the other, and what comes
    after the squashed one follows it alone.
    """
    return ActionableError(
        "squash-not-linear",
        f"The migrations up to {name} cannot be squashed: {why}.",
        NO_FILE,
        "Squash up to a migration before the first branch, or keep the files.",
    )


def squash_names_schema(statement: str) -> ActionableError:
    """A migration composes a statement from the name of the tenant's schema. One file is for all
    tenants, so no statement in it may name one.
    """
    return ActionableError(
        "squash-names-schema",
        f"A migration names the schema of the tenant it runs for: {statement}",
        NO_FILE,
        "Let it leave the name out: unqualified names mean the tenant's tables.",
    )


def squash_not_committed(names: Sequence[str]) -> ActionableError:
    """Squashing removes files. It does so only where git has them, so that they can be had again."""
    return ActionableError(
        "squash-not-committed",
        f"Git does not have these files as they are: {', '.join(names)}",
        NO_FILE,
        "Commit them, then squash.",
    )


def squash_does_not_run(error: ActionableError) -> ActionableError:
    """The squashed migration, or one that comes after it, does not run on an empty database. A later
    one may need rows that a squashed one wrote.
    """
    return ActionableError(
        "squash-does-not-run",
        f"The squashed migration or one after it does not run: {error.problem}",
        NO_FILE,
        "Squash up to another migration, or let the later one do without these rows.",
    )


def cannot_register(table: str, error: BaseException) -> ActionableError:
    """The service may not write ``service_instances``, or not make that table. Without its row
    there, a contract could run while the service still uses what it takes away.
    """
    return ActionableError(
        "cannot-register",
        f"This instance cannot write into {table}: {cause(error)}",
        "The service does not start: a contract could take away what it uses.",
        f"Grant this user SELECT, INSERT, UPDATE and DELETE on {table}; the owner of the schema makes"
        " the table with: migrate contract",
    )


def contract_unknown(contracts: Sequence[str]) -> ActionableError:
    """A newer release has taken away what this one may use. Run that release, or one after it."""
    number = count(len(contracts), "applied contract")
    return ActionableError(
        "contract-unknown",
        f"This release does not have {number}: {', '.join(contracts)}",
        "Nothing was run: a contract takes away what older code uses.",
        "Run the release that has it, or undo it first: migrate rollback with that release.",
    )


def files_changed(names: Sequence[str], *, is_newest: bool) -> ActionableError:
    """An applied file was edited. Restore it and write a new migration.

    If the edit does not matter: ``migrate latest --allow-changed``. While you still write the newest
    migration: ``migrate down``, then ``migrate latest``.
    """
    anew = "If it was applied nowhere else, run it anew: migrate down, then migrate latest. "
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

    Set ``MIGRATION_HISTORY_TABLE`` and ``MIGRATION_VERSION_TABLE``, or use a database each.
    """
    return ActionableError(
        "another-services-history",
        f"{table} holds the migrations of the service {other}, and this one is {service}.",
        "Nothing was run: each would take the other's migrations for its own.",
        "Set MIGRATION_HISTORY_TABLE and MIGRATION_VERSION_TABLE to names of this service's own,"
        " or use another database.",
    )


def foreign_history_table(table: str, missing: Iterable[str]) -> ActionableError:
    """A table of that name is there, and it is not the engine's. Set ``MIGRATION_HISTORY_TABLE``."""
    return ActionableError(
        "foreign-history-table",
        f"The table {table} was not made by this engine: it has no {', '.join(sorted(missing))}.",
        "Nothing was run, and the table was left as it is.",
        "Set MIGRATION_HISTORY_TABLE to another name.",
    )


def backfill_unusable(path: Path, why: str) -> ActionableError:
    """A migration states its backfill as ``backfill = Backfill(table=…, set={…})``."""
    return ActionableError(
        "backfill-unusable",
        f"The backfill of {path.name} cannot be run: {why}.",
        NOTHING_RUN,
        f'Write in {path}: phase = "backfill", and '
        'backfill = Backfill(table="users", set={"full_name": "name"})',
    )


def backfill_key_unusable(row: Mapping[str, Any], table: str, key: str) -> ActionableError:
    """The key is missing, may be NULL, or is no integer, text or UUID."""
    return ActionableError(
        "backfill-key-unusable",
        f"The backfill {_backfill(row)} cannot walk through {table} by {key!r}.",
        "No row was updated; the contracts behind it wait.",
        "Give Backfill a key that is there, NOT NULL and an integer, a text or a UUID, and run: "
        "migrate latest --allow-changed",
    )


def backfill_failed(row: Mapping[str, Any], keys: str, error: BaseException) -> ActionableError:
    """One chunk was undone; those before it stay. Correct the rows or the file and run it again."""
    return ActionableError(
        "backfill-failed",
        f"{_backfill(row)}: the chunk of {row['table_name']} {keys} failed: {cause(error)}",
        f"That chunk was undone. {count(row['done'], 'row')} done before it stay so; the rest, and "
        "the contracts behind it, wait.",
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
    """A new migration is what the models have more than a database with every migration.

    Bring the database up to date first. ``--empty`` compares nothing.
    """
    return ActionableError(
        "database-behind",
        f"The database is behind by {count(len(pending), 'migration')}: {', '.join(pending)}",
        "No file was written: it would repeat what they do.",
        "Apply them, then make it again: migrate latest",
    )


# -- Choosing what to run --------------------------------------------------------------------------


def name_unknown(name: str) -> ActionableError:
    """See the names: ``migrate list``."""
    return ActionableError(
        "name-unknown", f"No migration is called {name!r}.", NOTHING_RUN, "See: migrate list"
    )


def name_ambiguous(name: str, found: Sequence[str]) -> ActionableError:
    """Two files were made with one name. Name one by its revision."""
    return ActionableError(
        "name-ambiguous",
        f"{name!r} names {count(len(found), 'migration')}: {', '.join(found)}",
        NOTHING_RUN,
        "Name one of them by its revision, the number at its start.",
    )


def not_next(name: str, next_name: str) -> ActionableError:
    """The chain has one order. Run ``migrate up`` until it is next."""
    return ActionableError(
        "not-next",
        f"{name} is not next: {next_name} comes before it.",
        "Nothing was run: migrations form a chain, and each builds on the one before.",
        "Run what comes before it: migrate up",
    )


def not_newest(name: str, newest: str) -> ActionableError:
    """Undo what came after it: ``migrate down``."""
    return ActionableError(
        "not-newest",
        f"{name} is not the newest: {newest} was applied after it.",
        "Nothing was undone: migrations form a chain, and each builds on the one before.",
        "Undo what came after it: migrate down",
    )


def baseline_stays(names: Sequence[str]) -> ActionableError:
    """It was there before the engine, ``alembic stamp`` said so, or it is a squashed migration.

    Undoing it could drop tables that the engine never made. If you mean it: ``alembic downgrade``,
    which undoes no squashed migration either.
    """
    return ActionableError(
        "baseline-stays",
        f"{', '.join(names)}: it was taken over as it was, or squashed.",
        "Nothing was undone: that could drop tables with rows that no migration here made.",
        "If you mean it, plain Alembic undoes it: alembic downgrade REVISION",
    )


def has_history(names: Sequence[str]) -> ActionableError:
    """Only a database of which nothing is recorded can be taken over. ``migrate status`` shows what
    is; ``migrate verify`` compares it with the schema.
    """
    return ActionableError(
        "has-history",
        f"The database has a history already: {', '.join(names)}.",
        "Nothing was recorded: a baseline is for a database that this service never migrated.",
        "Compare it with its migrations: migrate verify",
    )


def database_empty() -> ActionableError:
    """There is nothing to take over. Let the migrations make the tables."""
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
        "Nothing was recorded: what a database has is said by the migrations that make it.",
        "Write the first: migrate make create_tables",
    )


def reason_missing() -> ActionableError:
    """Differences are accepted for a reason, which is kept in the history."""
    return ActionableError(
        "reason-missing",
        "The reason for accepting differences is empty.",
        "Nothing was recorded.",
        'Say why: migrate baseline --accept-differences "…"',
    )


def tables_without_history(
    name: str, error: Exception, tools: Iterable[str], tenant: str | None
) -> ActionableError:
    """Something that the first migration makes is there already, and nothing is recorded as applied.
    The database was made by another program, by hand, or restored without ``migration_history``.
    ``migrate baseline``, for a tenant's schema ``tenant baseline``, compares it with the migrations
    and records them, without running any.
    """
    named = ", ".join(sorted(set(tools)))
    return ActionableError(
        "tables-without-history",
        f"The {'schema' if tenant else 'database'} has tables, but no history of this service:"
        f" {name} failed: {cause(error)}" + (f" (There are tables of {named}.)" if named else ""),
        "Nothing was changed: the whole batch was undone.",
        f"Take it over as it is: {f'tenant baseline {tenant}' if tenant else 'migrate baseline'}",
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
    ``transaction = False`` or ends its own transaction. Correct the file, or what the database lacks,
    and run it again.
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
    """A body must return, so that what it did can be recorded. Raise an error instead."""
    return ActionableError(
        "called-exit",
        f"{name} called sys.exit({status!r}).",
        "It is not recorded as applied.",
        f"Let {name} return, or raise an error that says what is wrong.",
    )


def not_recorded(names: Sequence[str], in_memory: bool) -> ActionableError:
    """The statements ran, and afterwards the database did not have their record.

    A migration rolled back by itself, or an in-memory database has several connections: give it one,
    ``poolclass=StaticPool``.
    """
    hint = "Give an in-memory database one connection: create_engine(…, poolclass=StaticPool)"
    return ActionableError(
        "not-recorded",
        f"The database has no record of {count(len(names), 'migration')} that ran:"
        f" {', '.join(names)}",
        "They count as pending. What they did may be there all the same.",
        hint if in_memory else "Look for a ROLLBACK in them, and compare: migrate status",
    )


def orphaned_rows(number: int, table: str, parent: str, before: int) -> ActionableError:
    """The migration broke a foreign key. Keep the parents' rows, or remove the children first.

    Rows that pointed nowhere before it are counted apart, and stop nothing.
    """
    points = "points" if number == 1 else "point"
    others = f" Not counted: {before} that did so before." if before else ""
    return ActionableError(
        "orphaned-rows",
        f"{count(number, 'row')} {points} to rows that are gone,"
        f" the first from {table} to {parent}.",
        f"It breaks a foreign key.{others}",
        f"Make the migration keep the rows of {parent}, or remove those of {table} first.",
    )


def needs_a_direct_connection(statement: str) -> ActionableError:
    """The statement cannot run in a transaction, and a pooler is between this service and the server.

    The pooler may give each statement another server session, so the schema could not be set for it.
    Set ``MIGRATION_DATABASE_URL`` to the server itself.
    """
    return ActionableError(
        "needs-a-direct-connection",
        f"A statement cannot run in a transaction and needs one server session: {statement}",
        "It was not run: behind a pooler it could reach another schema.",
        "Set MIGRATION_DATABASE_URL to the address of the server itself, not of the pooler.",
    )


def cannot_write_sql(error: Exception) -> ActionableError:
    """``--sql`` cannot say what a migration does that reads rows. Run it on a copy of the database."""
    return ActionableError(
        "cannot-write-sql",
        f"A pending migration cannot be written as SQL: {cause(error)}",
        "Nothing was run. A migration that reads rows needs a database to read from.",
        "Run it on a copy of the database: migrate latest",
    )


def not_confirmed(command: str) -> ActionableError:
    """Undoing can drop tables with their rows, so in production it wants a yes."""
    return ActionableError(
        "not-confirmed",
        "This undoes migrations, and nobody confirmed it.",
        "Nothing was undone: it may drop tables with their rows.",
        f"If you mean it: {command}",
    )


def interrupted(names: Sequence[str], *, is_upgrade: bool) -> ActionableError:
    """Ctrl-C, or another signal. What was not recorded is undone; run it again."""
    return ActionableError(
        "interrupted",
        "The run was interrupted.",
        f"{'Applied' if is_upgrade else 'Undone'} and recorded before that: "
        f"{', '.join(names) or 'nothing'}.",
        f"Run it again when it suits you: migrate {'latest' if is_upgrade else 'rollback'}",
    )


def schema_differs(sentences: Sequence[str], see: str = "migrate verify") -> ActionableError:
    """The run did what its files say, and yet the schema is not what the migrations make in an empty
    database: it was altered by hand before, or a file was edited after it was applied.
    ``migrate verify``, for a tenant ``tenant verify ID``, lists every difference with a cause and what
    to do. What other programs make is left out when ``MIGRATION_EXCLUDED`` names it.
    """
    return ActionableError(
        "schema-differs",
        f"The schema is not what the migrations make: {'; '.join(sentences[:3])}"
        + (f"; and {len(sentences) - 3} more." if len(sentences) > 3 else "."),
        "What was run stays: nothing was undone.",
        f"See each with its cause and cure: {see}. What others make there: MIGRATION_EXCLUDED",
    )


def side_unknown(name: str, error: Exception) -> ActionableError:
    """A side of ``migrate diff`` is a database's address, a file that ``migrate snapshot`` wrote,
    ``models``, ``chain``, or ``tenant:ID`` in a multi-tenant service.
    """
    return ActionableError(
        "side-unknown",
        f"{name} is nothing that can be compared: {cause(error)}",
        "Nothing was compared.",
        "Name an address, a file of migrate snapshot, models, or chain: migrate diff models chain",
    )


def not_comparable(error: Exception) -> ActionableError:
    """Each major version of a database writes its catalog in its own words. Take both snapshots on
    servers of one version.
    """
    return ActionableError(
        "not-comparable",
        str(error),
        "Nothing was compared.",
        "Take both snapshots on the same major version: migrate snapshot --out FILE",
    )


# -- The lock and the database ---------------------------------------------------------------------


def lock_timeout(holder: object, seconds: float) -> ActionableError:
    """Another process migrates. Wait, raise ``MIGRATION_LOCK_TIMEOUT``, or see: ``migrate unlock``."""
    return ActionableError(
        "lock-timeout",
        f"Another migrator held the lock for {seconds:g} seconds: {holder}.",
        NOTHING_RUN,
        "Wait for it, raise MIGRATION_LOCK_TIMEOUT, or end it: migrate unlock --force",
    )


def database_away(address: str, error: BaseException) -> ActionableError:
    """It is down, or ``DATABASE_URL`` is wrong. The text behind the colon is the driver's."""
    return ActionableError(
        "database-away",
        f"The database {address} does not answer: {cause(error)}",
        NOTHING_RUN,
        "Start it, or correct DATABASE_URL.",
    )


def database_refuses(address: str, error: BaseException, solution: str) -> ActionableError:
    """The database answers and refuses: a permission, a password, a limit, a file.

    The text behind the colon is the driver's; the solution names what is refused.
    """
    return ActionableError(
        "database-refuses",
        f"The database {address} refuses: {cause(error)}",
        "What was asked for was not done.",
        solution,
    )


def database_lost(names: Sequence[str], error: BaseException) -> ActionableError:
    """The connection broke. What was not committed is undone; see ``migrate status``."""
    return ActionableError(
        "database-lost",
        f"The database was lost while {names[0]} or what follows ran: {cause(error)}",
        "What was not committed is undone; nobody can say yet how far it came.",
        "When the database answers again, see how far it came: migrate status",
    )


def transaction_begun() -> ActionableError:
    """Code of yours passed an engine whose connections begin by themselves. Pass one of its own."""
    return ActionableError(
        "transaction-begun",
        "The engine's connection has already begun a transaction.",
        "Nothing was run: whoever began it could undo the migrations.",
        "Commit or roll back first, or pass an engine of its own.",
    )


def no_engine(given: str) -> ActionableError:
    """You passed a connection or a session. Pass the Engine."""
    return ActionableError(
        "no-engine",
        f"The migration engine takes a SQLAlchemy Engine, not {given}.",
        "Nothing was run: a connection may carry a transaction that somebody else ends.",
        "Pass an Engine of create_engine(…); it may exist beside an AsyncEngine.",
    )


def wrong_driver(driver: str, right: str) -> ActionableError:
    """It needs a synchronous driver of this service's database."""
    return ActionableError(
        "wrong-driver",
        f"The migration engine of this service cannot work with {driver}.",
        NOTHING_RUN,
        f'Make an engine of its own for it: create_engine("{right}")',
    )


# -- Seeds -----------------------------------------------------------------------------------------


def lint_findings(names: Sequence[str]) -> ActionableError:
    """MIGRATION_LINT is ``error``, and what is pending would hurt a live site.

    ``migrate lint`` shows each finding with the safe form. What you know and accept goes into the
    migration: ``lint_ignore = {"code": "reason"}``.
    """
    return ActionableError(
        "lint-findings",
        f"Linting found what would hurt a live site in {', '.join(names)}.",
        "Nothing was run: MIGRATION_LINT is error.",
        "See them and the safe form: migrate lint",
    )


def does_not_run_on_empty(name: str, path: Path, error: BaseException) -> ActionableError:
    """Linting applies what comes before to an empty database first, and that failed.

    A migration that expects rows fails so; it would fail too where a new database is made.
    """
    return ActionableError(
        "does-not-run-on-empty",
        f"{name} does not run on an empty database: {cause(error)}",
        "Nothing was linted: what comes before is applied to an empty database first.",
        f"Correct {path}, so that it also runs on empty tables.",
    )


def linting_failed(error: BaseException) -> ActionableError:
    """The linter itself failed, or the scratch database was lost.

    With MIGRATION_LINT=warn, commands say so and go on; with ``error`` they stop.
    """
    return ActionableError(
        "linting-failed",
        f"Linting itself failed: {cause(error)}",
        "It is not known what the migrations do to a live site. No table of the service was touched.",
        "Try again; where it fails again, report it, and set MIGRATION_LINT=off meanwhile.",
    )


def lint_ignore_unusable(path: Path) -> ActionableError:
    """``lint_ignore`` is a dict: the code of a finding, and why it is accepted."""
    return ActionableError(
        "lint-ignore-unusable",
        f"lint_ignore of {path.name} is not a dict of texts.",
        "Nothing was linted.",
        f"Write in {path}: " + 'lint_ignore = {"code": "reason"}',
    )


def seed_taken(slug: str) -> ActionableError:
    """Choose another name, or edit the one that is there."""
    return ActionableError(
        "seed-taken",
        f"There is already a seed called {slug!r}.",
        "No file was written, and none was overwritten.",
        "Choose another name, or edit the seed that is there.",
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
    """It was undone; those before it stay. Correct it and run it again."""
    return ActionableError(
        "seed-failed",
        f"Seed {path.stem} failed: {cause(error)}",
        "What it did was undone; the seeds before it stay.",
        f"Correct {path} and run it again: seed run {path.stem}",
    )
