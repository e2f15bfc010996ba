"""The database: models' base, column types, engine and sessions."""
