"""The database of a configuration file, as commands open it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.store import opened
from gateway.errors import ConfigError, StoreUnavailable
from gateway.store.engine import migrate

from ..store.migrated import migrated_database


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration with a database, and a variable that is not set in another table."""
    path = tmp_path / "config.toml"
    path.write_text(
        '[providers.p]\nkind = "openai"\napi_key = "${KEY_THAT_IS_NOT_SET}"\n'
        '[store]\nurl = "sqlite:///gateway.db"\n'
    )
    database = migrated_database(tmp_path)
    database.close()
    return path


def test_it_is_opened_and_closed(file: Path) -> None:
    with opened(file) as database:
        assert migrate.current(database) == migrate.HEAD
    with pytest.raises(StoreUnavailable, match="it is closed"):
        migrate.current(database)


def test_its_errors_name_it(file: Path) -> None:
    name = f"sqlite:///{file.parent}/gateway.db"
    with pytest.raises(StoreUnavailable) as raised, opened(file):
        raise StoreUnavailable("the disk is full")
    assert raised.value.message == f"{name}: the disk is full"
    with opened(file) as database:
        database.write_now(lambda one: one.exec_driver_sql("DELETE FROM alembic_version"))
    with pytest.raises(ConfigError), opened(file):
        pass
    with opened(file, any_schema=True) as database:
        assert migrate.current(database) is None
    file.with_name("gateway.db").unlink()
    with pytest.raises(ConfigError) as missing, opened(file):
        pass
    assert missing.value.problems == (f"{name}: not set up yet; run `gateway db upgrade`",)
    assert not file.with_name("gateway.db").exists()
