"""Databases for the tests of the admin API: those of the store."""

from tests.store.conftest import (
    database,
    migrated_file,
    postgresql_database,
    postgresql_databases,
    sqlite_database,
)

__all__ = [
    "database",
    "migrated_file",
    "postgresql_database",
    "postgresql_databases",
    "sqlite_database",
]
