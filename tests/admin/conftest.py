"""For the tests of the admin API: the databases of the store, and passwords that cost little."""

import pytest

from gateway.admin.accounts import passwords
from tests.store.conftest import (
    database,
    migrated_file,
    postgresql_database,
    postgresql_databases,
    sqlite_database,
)

from .accounts.people import CHEAP

__all__ = [
    "database",
    "migrated_file",
    "postgresql_database",
    "postgresql_databases",
    "sqlite_database",
]


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash passwords with little work; `test_passwords.py` has the real thing."""
    monkeypatch.setattr(passwords, "_HASHER", CHEAP)
    monkeypatch.setattr(passwords, "DECOY", CHEAP.hash("nobody's"))
