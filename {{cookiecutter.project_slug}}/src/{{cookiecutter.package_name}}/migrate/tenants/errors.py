"""Every error about tenants that a person can act on, one function for each."""

from ...errors import ActionableError

NOTHING_DONE = "Nothing was done."


def tenant_id_unusable(tenant: str, longest: int) -> ActionableError:
    """The id becomes the name of a schema. Use a-z, 0-9 and underscores, 56 at most."""
    return ActionableError(
        "tenant-id-unusable",
        f"{tenant[:longest]!r} cannot be the id of a tenant.",
        NOTHING_DONE,
        f"Use a-z, 0-9 and underscores, {longest} at most: acme_inc",
    )


def tenant_id_reserved(tenant: str) -> ActionableError:
    """admin, api, public and www are host names that belong to no tenant. Choose another id."""
    return ActionableError(
        "tenant-id-reserved",
        f"{tenant!r} is reserved and cannot be the id of a tenant.",
        NOTHING_DONE,
        "Choose another id.",
    )


def no_such_tenant(tenant: str) -> ActionableError:
    """The id is not registered. See all tenants: ``tenant list``."""
    return ActionableError(
        "no-such-tenant",
        f"There is no tenant {tenant!r}.",
        NOTHING_DONE,
        "See them all: tenant list",
    )


def nothing_to_take_over(tenant: str) -> ActionableError:
    """A tenant is taken over when its schema, ``tenant_`` and its id, has tables and no history."""
    return ActionableError(
        "tenant-not-taken-over",
        f"There is no schema of tenant {tenant} that has tables and no history.",
        "Nothing was recorded.",
        "See which tenants there are: tenant list",
    )


def no_registry() -> ActionableError:
    """The shared schema is not migrated yet, so there is no table of tenants. Migrate it."""
    return ActionableError(
        "no-registry",
        "There is no registry of tenants yet.",
        NOTHING_DONE,
        "Migrate the shared schema first: migrate latest",
    )


def registry_needed() -> ActionableError:
    """The migration that makes the registry is not undone while there are tenants."""
    return ActionableError(
        "registry-needed",
        "This would undo the migration that makes the registry of tenants, and there are tenants.",
        "Nothing was undone, in no schema.",
        "Undo less: migrate down. Or drop the tenants first: tenant drop ID --yes",
    )


def tenant_being_removed(tenant: str) -> ActionableError:
    """Its removal has begun and some of its tables are gone. Finish: ``tenant drop ID --yes``."""
    return ActionableError(
        "tenant-being-removed",
        f"{tenant} is being removed.",
        NOTHING_DONE,
        f"Finish that first: tenant drop {tenant} --yes",
    )


def schema_missing(tenant: str, schema: str) -> ActionableError:
    """The registry says that the tenant was migrated, and its schema is not there.

    Somebody dropped it by hand. Its rows are not in this database: restore them from a backup, or
    remove the tenant with ``tenant drop ID --yes`` and make it anew.
    """
    return ActionableError(
        "schema-missing",
        f"The schema {schema} of tenant {tenant} is gone, and with it all its rows.",
        "Nothing was done: an empty schema in its place would hide the loss.",
        f"Restore it from a backup. To give it up: tenant drop {tenant} --yes",
    )


def newer_release_began(tenant: str, revision: str) -> ActionableError:
    """A newer release is being rolled out, and this one cannot make a tenant that it could use.

    Nothing is left behind. Ask again: an instance of the newer release makes it.
    """
    return ActionableError(
        "newer-release-began",
        f"The shared schema is at {revision}, which this release does not know.",
        f"Tenant {tenant} was not made: it would be too old for the newer release.",
        "Try again; the newer release can make it.",
    )


def tenants_failed() -> ActionableError:
    """Some tenants could not be rolled back, so public was left. Correct them and run it again."""
    return ActionableError(
        "tenants-failed",
        "Some tenants could not be rolled back.",
        "The shared schema was not touched.",
        "Correct what each of them reports and run it again: migrate rollback",
    )


def no_ready_tenant() -> ActionableError:
    """Models are compared with a tenant's schema. Make a tenant: ``tenant create demo``."""
    return ActionableError(
        "no-ready-tenant",
        "There is no tenant that is ready, and the models are compared with one.",
        "No file was written.",
        "Make one: tenant create demo. For the shared schema: migrate make NAME --shared",
    )


def foreign_key_to_shared(table: str, column: str, target: str) -> ActionableError:
    """A tenant's table points to a shared one. Keep the value without a foreign key."""
    return ActionableError(
        "foreign-key-to-shared",
        f"{table}.{column} is a foreign key to {target}.",
        "Each new tenant would lock the shared table, and with some thousand tenants a row of it"
        " could no longer be deleted.",
        "Keep the value without a foreign key, or move the table to the same side.",
    )


def tenant_without_role(tenant: str) -> ActionableError:
    """TENANT_ROLES is on, and the tenant was made while it was off. Make its role, and give it
    what is in the schema: ``tenant roles``.
    """
    return ActionableError(
        "tenant-without-role",
        f"{tenant} has no database role, or not all that it has is its role's.",
        "Nothing was run in it.",
        "Make what is missing: tenant roles",
    )


def roles_on_citus() -> ActionableError:
    """The machines of a Citus cluster connect with each other as the role that runs a statement, and
    a tenant's role may not log in. Turn ``TENANT_ROLES`` off there.
    """
    return ActionableError(
        "roles-on-citus",
        "A tenant can have no role on a Citus cluster: its machines let no role in that may not log in.",
        NOTHING_DONE,
        "Set TENANT_ROLES=false",
    )


def tenant_not_in_backup(tenant: str, backup: str) -> ActionableError:
    """The backup holds other tenants: those that the run after it was to touch, or those that there
    were at that time. Choose another one.
    """
    return ActionableError(
        "tenant-not-in-backup",
        f"{backup} does not hold the tenant {tenant!r}.",
        NOTHING_DONE,
        "Choose another one: backup list --json names the tenants of each",
    )
