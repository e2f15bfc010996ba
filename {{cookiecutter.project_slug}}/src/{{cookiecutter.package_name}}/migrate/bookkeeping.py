"""Bookkeeping tables of migration tools, which do not belong to a service's schema."""

from collections.abc import Mapping
from types import MappingProxyType

from sqlalchemy import Connection, inspect

# Names from each tool's documentation. "migrations" (Laravel, TypeORM) and "migration"
# (Piccolo) are not in the list: a service may have tables of these names.
BOOKKEEPING: Mapping[str, str] = MappingProxyType(
    {
        "alembic_version": "Alembic",
        "migration_history": "this service",
        "migration_progress": "this service",
        "service_instances": "this service",
        "knex_migrations": "Knex",
        "knex_migrations_lock": "Knex",
        "django_migrations": "Django",
        "south_migrationhistory": "South",
        "flyway_schema_history": "Flyway",
        "databasechangelog": "Liquibase",
        "databasechangeloglock": "Liquibase",
        "DATABASECHANGELOG": "Liquibase",
        "DATABASECHANGELOGLOCK": "Liquibase",
        "schema_migrations": "Rails, dbmate or golang-migrate",
        "ar_internal_metadata": "Rails",
        "goose_db_version": "goose",
        "gorp_migrations": "sql-migrate",
        "atlas_schema_revisions": "Atlas",
        "_prisma_migrations": "Prisma",
        "SequelizeMeta": "Sequelize",
        "SequelizeData": "Sequelize",
        "typeorm_metadata": "TypeORM",
        "mikro_orm_migrations": "MikroORM",
        "kysely_migration": "Kysely",
        "kysely_migration_lock": "Kysely",
        "__drizzle_migrations": "Drizzle",
        "pgmigrations": "node-pg-migrate",
        "_sqlx_migrations": "SQLx",
        "__diesel_schema_migrations": "Diesel",
        "refinery_schema_history": "Refinery",
        "__EFMigrationsHistory": "Entity Framework",
        "doctrine_migration_versions": "Doctrine",
        "phinxlog": "Phinx",
        "_yoyo_log": "yoyo",
        "_yoyo_migration": "yoyo",
        "_yoyo_version": "yoyo",
        "yoyo_lock": "yoyo",
        "migratehistory": "peewee-migrate",
        "aerich": "Aerich",
    }
)


def find_bookkeeping(connection: Connection, schema: str | None = None) -> dict[str, str]:
    """The bookkeeping tables of a schema, by name, each with its tool.

    Args:
        schema: default: the connection's default schema.
    """
    names = inspect(connection).get_table_names(schema=schema)
    return {name: BOOKKEEPING[name] for name in sorted(names) if name in BOOKKEEPING}
