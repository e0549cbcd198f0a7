from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.file_owner import give_to_owner, make_private_folder
from gateway.store.engine.database import Database
from gateway.store.writing.journal import Journal

OWNER = (1234, 1235)


def test_a_folder_is_private_and_made_once(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert make_private_folder(folder)
    assert [each.stat().st_mode & 0o777 for each in (folder, folder.parent)] == [0o700, 0o700]
    assert not make_private_folder(folder)
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        make_private_folder(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_what_root_makes_is_for_the_owner_of_the_folder(tmp_path: Path) -> None:
    os.chown(tmp_path, *OWNER)
    make_private_folder(tmp_path / "made" / "deeper")
    (tmp_path / "plain").touch()
    give_to_owner(tmp_path / "plain", tmp_path)
    database = Database("sqlite:///gateway.db", tmp_path)
    database.create()
    database.close()
    Journal.create(tmp_path / "gateway.journal", "w").close()
    for path in tmp_path.rglob("*"):
        assert (path.stat().st_uid, path.stat().st_gid) == OWNER, path
