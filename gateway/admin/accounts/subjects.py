"""What failures of a sign-in are counted by: the account and the address, as hashes.

The name is hashed since people type passwords where it should go, and no table may hold those.
"""

from __future__ import annotations

import hashlib

from ...core.sign_in import Counted, address_group
from ...store.accounts.failures import Subject


def subjects_of(name: str, address: str | None) -> tuple[Subject, Subject]:
    return (
        Subject(account_key(name), Counted.ACCOUNT),
        Subject(_hashed("address", address_group(address)), Counted.ADDRESS),
    )


def account_key(name: str) -> str:
    """Return under which key the failures of an account are counted."""
    return _hashed("account", name)


def _hashed(kind: str, text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{kind}:{digest[:32]}"
