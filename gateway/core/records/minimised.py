"""Records with no more of people in them than the configuration wants kept.

A hash tells that two requests are of one user and not of whom. It is made with a key: addresses are
few enough to be tried one by one, and names can be guessed.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final, Literal

import msgspec

from .record import Record

Keeping = Literal["keep", "hash", "drop"]
# Of SHA-256 in hexadecimal: enough that two of a million users are hardly ever taken for one.
_DIGITS: Final = 16


class Minimising(msgspec.Struct, frozen=True):
    """What is kept of users, addresses, and what providers say in errors, which quote prompts."""

    users: Keeping = "keep"
    addresses: Keeping = "keep"
    provider_errors: Keeping = "keep"
    hash_key: str = ""

    @property
    def keeps_all(self) -> bool:
        return self.users == self.addresses == self.provider_errors == "keep"

    @property
    def hashes(self) -> bool:
        return "hash" in (self.users, self.addresses, self.provider_errors)

    def applied(self, record: Record) -> Record:
        """Return `record` as it is to be kept."""
        changed = msgspec.structs.replace(
            record,
            user=self._kept(self.users, record.user),
            client=self._kept(self.addresses, record.client),
        )
        if self.provider_errors != "keep" and record.attempts:
            # Without attempts the words are the gateway's own, and their code says the same.
            changed.error = self._kept(self.provider_errors, record.error)
            changed.attempts = [
                msgspec.structs.replace(each, error=self._kept(self.provider_errors, each.error))
                for each in record.attempts
            ]
        return changed

    def user(self, name: str) -> str | None:
        """Return how the user `name` stands in records."""
        return self._kept(self.users, name)

    def _kept(self, how: Keeping, text: str | None) -> str | None:
        if how == "keep" or text is None:
            return text
        if how == "drop":
            return None
        data = text.encode("utf-8", "surrogatepass")
        digest = hmac.new(self.hash_key.encode(), data, hashlib.sha256).hexdigest()
        return f"hash:{digest[:_DIGITS]}"
