"""Whose file it is that root has made.

Commands are often run by root beside a gateway that has a user of its own (`sudo gateway ...`).
That user owns the folder, and is to read and write what comes into it.
"""

from __future__ import annotations

import os
from pathlib import Path


def give_to_owner(made: int | Path, folder: Path) -> None:
    """Give the new file `made` to the owner of `folder`, if it was made by root.

    Raises OSError.
    """
    if os.geteuid() != 0:
        return
    owner, own = folder.stat(), os.stat(made)
    if (owner.st_uid, owner.st_gid) != (own.st_uid, own.st_gid):
        os.chown(made, owner.st_uid, owner.st_gid)


def make_private_folder(folder: Path) -> bool:
    """Make a folder, and those above it, for the owner of the one that it is in; say if it is new.

    Raises OSError.
    """
    if folder.is_dir():
        return False
    if not folder.parent.exists():
        make_private_folder(folder.parent)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise
        return False
    give_to_owner(folder, folder.parent)
    return True
