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
        "List the tenants: tenant list",
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
        "Nothing was undone in any schema.",
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
    """The registry says that the tenant was migrated, but its schema does not exist.

    Somebody dropped it by hand. Its rows are lost in this database: restore them from a backup, or
    remove the tenant with ``tenant drop ID --yes`` and create it again.
    """
    return ActionableError(
        "schema-missing",
        f"The schema {schema} of tenant {tenant} is gone, and with it all its rows.",
        "Nothing was done: an empty schema in its place would hide the loss.",
        f"Restore it from a backup. To give it up: tenant drop {tenant} --yes",
    )


def newer_release_began(tenant: str, revision: str) -> ActionableError:
    """A newer release is being rolled out, and this one cannot create a tenant for it.

    Nothing was created. Try again: an instance of the newer release can create it.
    """
    return ActionableError(
        "newer-release-began",
        f"The shared schema is at {revision}, which this release does not know.",
        f"Tenant {tenant} was not created: it would be too old for the newer release.",
        "Try again; the newer release can create it.",
    )


def tenants_failed() -> ActionableError:
    """Some tenants could not be rolled back, so public was not. Correct them and run it again."""
    return ActionableError(
        "tenants-failed",
        "Some tenants could not be rolled back.",
        "The shared schema was not touched.",
        "Correct the errors of these tenants and run it again: migrate rollback",
    )


def no_ready_tenant() -> ActionableError:
    """Models are compared with a tenant's schema. Create a tenant: ``tenant create demo``."""
    return ActionableError(
        "no-ready-tenant",
        "No tenant is ready, and the models are compared with a tenant.",
        "No file was written.",
        "Create one: tenant create demo. For the shared schema: migrate make NAME --shared",
    )


def foreign_key_to_shared(table: str, column: str, target: str) -> ActionableError:
    """A tenant's table refers to a shared one. Store the value without a foreign key."""
    return ActionableError(
        "foreign-key-to-shared",
        f"{table}.{column} is a foreign key to {target}.",
        "Each new tenant would lock the shared table, and with some thousand tenants its rows"
        " could no longer be deleted.",
        "Store the value without a foreign key, or make both tables shared or both the tenant's.",
    )


def tenant_without_role(tenant: str) -> ActionableError:
    """TENANT_ROLES is on, but the tenant was created while it was off. Create its role, and make it
    the owner of the schema's objects: ``tenant roles``.
    """
    return ActionableError(
        "tenant-without-role",
        f"{tenant} has no database role, or its role does not own all its objects.",
        "Nothing was run in it.",
        "Create the role and change the owners: tenant roles",
    )


def schema_in_use(schema: str) -> ActionableError:
    """A transaction has used a table of the tenant for longer than MIGRATION_TABLE_LOCK_TIMEOUT. It
    may belong to a suspended replica, to a report, or to a session that was left open. End it.
    """
    return ActionableError(
        "backup-tenant-in-use",
        f"A long transaction uses a table of {schema}.",
        NOTHING_DONE,
        "Stop the service and everything else that uses the tenant, and restore again.",
    )


def roles_on_citus() -> ActionableError:
    """The machines of a Citus cluster connect to each other as the role that runs a statement. A
    tenant's role cannot log in. Turn ``TENANT_ROLES`` off there.
    """
    return ActionableError(
        "roles-on-citus",
        "Tenants cannot have roles on a Citus cluster: its machines connect to each other as the "
        "role, and a tenant's role cannot log in.",
        NOTHING_DONE,
        "Set TENANT_ROLES=false",
    )


def tenant_not_in_backup(tenant: str, backup: str) -> ActionableError:
    """The backup contains other tenants: those that the run after it was going to change, or those
    that existed at that time. Choose another one.
    """
    return ActionableError(
        "tenant-not-in-backup",
        f"{backup} does not contain the tenant {tenant!r}.",
        NOTHING_DONE,
        "Choose another one: backup list --json names the tenants of each",
    )
