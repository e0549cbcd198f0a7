"""Takes out of what is kept of a request all that readers of the debug log must not see.

Three things go. Headers and query parameters whose names say that they are credentials: always.
The secrets known by value, such as the key the caller came with: wherever they stand, also in an
error that quotes them. And what the configured paths name: only a document that can be read can
be trusted to have lost it, so one that can't be is withheld whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Final
from urllib.parse import unquote_plus

import msgspec

from .json_path import REDACTED, JsonPath, redact

# As whole words of a name: `x-goog-api-key`, `access_token`, but not `x-keyboard`.
_CREDENTIAL: Final = re.compile(
    r"(?:^|-)key$|api-?key|token|secret|passw|credential|cookie|signature"
    r"|(?:^|-)(?:auth|authorization|authentication|jwt|sig)$"
)
# Counts of tokens are the one thing that is called so and is none.
_COUNTS: Final = re.compile(
    r"(?:x-ratelimit-(?:limit|remaining|reset)|max(?:-completion|-output)?)-tokens"
)
# What is shorter is a word, like the EMPTY that local servers are called with: taking it out
# everywhere would spoil what is kept and protect nothing.
MIN_SECRET: Final = 8
# Where no tokens are configured, callers choose their keys: what is longer is looked for as it is
# and in no other spelling. For 60 kB of them, to compile those takes seconds.
_MAX_SPELLED: Final = 512
# So much of a secret's beginning, at the place where a body was cut, is taken for one.
_MIN_BEGINNING: Final = 4
# Printable ASCII, and Latin-1, written as escapes: rare enough to pay for a slow search.
_ESCAPED: Final = re.compile(rb"\\u00[2-7a-fA-F]")
_BYTES: Final = REDACTED.encode()


def is_credential(name: str) -> bool:
    """Say whether a header or parameter of that name holds what opens doors."""
    name = name.lower().replace("_", "-")
    return _CREDENTIAL.search(name) is not None and _COUNTS.fullmatch(name) is None


class Redacted(msgspec.Struct, frozen=True):
    """What may be kept; None: nothing of it. `changed` says that something was taken out."""

    data: bytes | None
    changed: bool = False


WITHHELD: Final = Redacted(None, changed=True)


class Redactor:
    """Knows what to take out of one request and its answer."""

    def __init__(self, paths: Iterable[JsonPath] = (), secrets: Iterable[bytes] = ()) -> None:
        self._paths = tuple(paths)
        # The longest first: one may begin with another.
        known = sorted({each for each in secrets if len(each) >= MIN_SECRET}, key=len, reverse=True)
        self._secrets = [_Secret(each) for each in known]

    def __repr__(self) -> str:
        return f"<Redactor {len(self._paths)} paths, {len(self._secrets)} secrets>"

    @property
    def selective(self) -> bool:
        """Say whether there are paths, so that only what can be read may be kept."""
        return bool(self._paths)

    def headers(self, pairs: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
        """Return the headers as text, without the credentials among them."""
        found = []
        for raw_name, value in pairs:
            name = raw_name.decode("latin-1")
            shown = _BYTES if is_credential(name) else self.text(value)
            found.append((name, shown.decode("utf-8", "backslashreplace")))
        return found

    def target(self, target: str) -> str:
        """Return a request target without the credentials in its query."""
        path, mark, query = target.partition("?")
        fields = [self._field(field) for field in query.split("&")]
        return self.string(path + mark + "&".join(fields))

    def text(self, data: bytes, *, whole: bool = True) -> bytes:
        """Return `data` without the secrets; not `whole`: nor the beginning of one at its end."""
        if not data:
            return data
        for secret in self._secrets:
            data = secret.taken_out(data)
            if not whole:
                data = secret.end_taken_off(data)
        return data

    def document(self, data: bytes, *, whole: bool = True) -> Redacted:
        """Return a JSON document without all that is to be taken out.

        With paths to look for it is written anew, since of two members of one name only one
        is seen by a reader of JSON: the other must not survive in the text.
        """
        if not self._paths:
            clean = self.text(data, whole=whole)
            return Redacted(clean, clean != data)
        if not whole:
            return WITHHELD
        try:
            tree, count = _decode(data), 0
            for path in self._paths:
                tree, found = redact(tree, path)
                count += found
            encoded = _encode(tree)
        except (ValueError, RecursionError):
            return WITHHELD
        clean = self.text(encoded)
        return Redacted(clean, count > 0 or clean != encoded)

    def member(self, name: str, value: str) -> str:
        """Return what may be kept of a top-level member of the request, found elsewhere."""
        tree: Any = {name: value}
        for path in self._paths:
            tree, _ = redact(tree, path)
        return self.string(tree[name] if isinstance(tree, dict) else REDACTED)

    def string(self, text: str) -> str:
        """Return `text` without the secrets."""
        return self.text(text.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")

    def strings(self, tree: Any) -> Any:
        """Return `tree`, of dicts and lists, with every string in it as `string` returns it."""
        if isinstance(tree, str):
            return self.string(tree)
        if isinstance(tree, dict):
            return {key: self.strings(value) for key, value in tree.items()}
        return [self.strings(each) for each in tree] if isinstance(tree, list) else tree

    def _field(self, field: str) -> str:
        name, equals, _ = field.partition("=")
        return f"{name}={REDACTED}" if equals and is_credential(unquote_plus(name)) else field


class _Secret:
    """One secret, as it may be spelled in text and in JSON."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._text = secret.decode("utf-8", "surrogateescape")
        self._spelled = len(secret) <= _MAX_SPELLED
        # These have spellings of their own that are common.
        self._odd = self._spelled and any(char in '/"\\' or char > "~" for char in self._text)

    def taken_out(self, data: bytes) -> bytes:
        if self._secret in data:
            data = data.replace(self._secret, _BYTES)
        # A regular expression looks at every byte in turn: only where it might find something.
        if (self._odd and b"\\" in data) or (self._spelled and _ESCAPED.search(data)):
            data = self._pattern.sub(_BYTES, data)
        return data

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        # Compiling takes milliseconds, and most requests have no use for it.
        return re.compile(b"".join(_spellings(char) for char in self._text))

    def end_taken_off(self, data: bytes) -> bytes:
        secret, most = self._secret, len(self._secret) - 1
        if not self._spelled:
            # One by one would be the square of a length that callers choose.
            start = data.find(secret[:_MAX_SPELLED], max(0, len(data) - most))
            if start >= 0 and secret.startswith(data[start:]):
                return data[:start] + _BYTES
            most = _MAX_SPELLED
        for size in range(min(most, len(data)), _MIN_BEGINNING - 1, -1):
            if data.endswith(secret[:size]):
                return data[:-size] + _BYTES
        return data


def _spellings(char: str) -> bytes:
    raw = re.escape(char.encode("utf-8", "surrogateescape"))
    if "\udc80" <= char <= "\udcff":
        return raw
    units = char.encode("utf-16-be")
    escaped = b"".join(
        b"\\\\u" + _any_case(b"%02x%02x" % (units[at], units[at + 1]))
        for at in range(0, len(units), 2)
    )
    short = rb"|\\" + raw if char in '/"\\' else b""
    return b"(?:" + raw + b"|" + escaped + short + b")"


def _any_case(digits: bytes) -> bytes:
    return b"(?i:" + digits + b")"


def _decode(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        # RFC 8259 allows lone surrogate escapes, which msgspec does not read.
        return json.loads(data)


def _encode(tree: Any) -> bytes:
    try:
        return msgspec.json.encode(tree)
    except UnicodeEncodeError:
        return json.dumps(tree, allow_nan=False, separators=(",", ":")).encode("ascii")
