"""Answers that are kept for the next equal request, bounded by bytes and by age.

A caller who opts in gives a time to live. An answer is given out while it is younger than
both what it was kept for and what the request allows.

What is recorded of answers under way counts like what is stored: a thousand long answers at
once take no more memory than the configuration says.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ...errors import InvalidRequest

# Of an answer's head, what belongs to the body and not to how that body came about.
# Which fallback model answered, by its public name.
FALLBACK_HEADER: Final = b"x-gateway-fallback"
ABOUT_BODY: Final = frozenset(
    {b"content-type", b"cache-control", b"x-accel-buffering", FALLBACK_HEADER}
)
HEADER: Final = b"x-gateway-cache"
HIT: Final = (HEADER, b"hit")
MISS: Final = (HEADER, b"miss")

# What an entry takes beside its body: key, Struct, slots in the two containers (400 bytes
# measured), so that many tiny answers are bounded too.
OVERHEAD: Final = 512
# A replayed stream goes out in pieces of up to 64 KiB: few writes, and a caller who reads
# slowly still shows that it reads, before it is taken for stalled.
PIECE: Final = 64 * 1024
_SMALLEST_PIECE: Final = 16 * 1024
_EVENT_END: Final = b"\n\n"

_TTL: Final = re.compile(rb"ttl=([0-9]{1,12}(?:\.[0-9]{1,6})?)")

Pairs = tuple[tuple[bytes, bytes], ...]


class ModelCache(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Caching of one model. `ttl` in seconds; `coalesce` lets equal misses share one call."""

    ttl: Annotated[float, Meta(gt=0)]
    coalesce: bool = False


class CachePolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Bounds of the cache of one process; 0 for `max_bytes` or `max_ttl` turns it off.

    max_bytes        all entries, and what is recorded of answers under way
    max_entry_bytes  one answer's body; larger ones are not kept
    max_ttl          seconds; a request that asks for more gets this
    shared           other processes' answers count too, through the server of `[state]`
    """

    max_bytes: Annotated[int, Meta(ge=0)] = 64 * 1024 * 1024
    max_entry_bytes: Annotated[int, Meta(ge=0)] = 1024 * 1024
    max_ttl: Annotated[float, Meta(ge=0)] = 86_400.0
    shared: bool = False


def cache_control(header: bytes | None, model: ModelCache | None, max_ttl: float) -> float | None:
    """Return for how many seconds an answer may be kept; None if it must not be.

    `header` is the request's `x-gateway-cache`, which overrides the model's setting. Raises
    InvalidRequest (400) for what it cannot mean.
    """
    if header is None:
        ttl = 0.0 if model is None else model.ttl
    else:
        value = header.strip().lower()
        match = _TTL.fullmatch(value)
        ttl = 0.0 if match is None else float(match[1])
        if not ttl and value != b"off":
            raise InvalidRequest(
                "x-gateway-cache must be 'off' or 'ttl=SECONDS' with a number above 0"
            )
    ttl = min(ttl, max_ttl)
    return ttl if ttl > 0 else None


class CachedAnswer(msgspec.Struct, frozen=True):
    """A complete, successful answer as its first caller got it, but for keep-alive comments.

    `dialect` is the name of that caller's, `headers` are those of `ABOUT_BODY`. `created` is when
    it was complete, in Trio's seconds.
    """

    status: int
    dialect: str
    headers: Pairs
    body: bytes
    stream: bool
    created: float
    ttl: float

    @property
    def size(self) -> int:
        """Return the bytes that this takes."""
        return len(self.body) + OVERHEAD

    def age(self, now: float) -> bytes:
        """Return the value of the `age` header (RFC 9111 section 5.1): whole seconds."""
        return b"%d" % max(0, int(now - self.created))


def about_body(headers: Sequence[tuple[bytes, bytes]]) -> Pairs:
    """Return those `headers` that are kept with a body."""
    return tuple(pair for pair in headers if pair[0] in ABOUT_BODY)


def fallback_named(headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    """Return the fallback model that an answer with these `headers` came from."""
    found = next((value for name, value in headers if name == FALLBACK_HEADER), None)
    return None if found is None else found.decode("latin-1")


def pieces(body: bytes) -> Iterator[bytes]:
    """Yield a stream's `body` in pieces of 16 to 64 KiB that end where events end.

    An event that is larger comes whole, at the end of a piece.
    """
    at, size = 0, len(body)
    while size - at > PIECE:
        found = body.rfind(_EVENT_END, at + _SMALLEST_PIECE, at + PIECE)
        if found < 0:
            found = body.find(_EVENT_END, at + PIECE - 1)
        if found < 0:
            break
        yield body[at : found + 2]
        at = found + 2
    if at < size:
        yield body[at:]


class AnswerStore:
    """The entries by key, least recently used first. `now` is in Trio's seconds."""

    def __init__(self, policy: CachePolicy) -> None:
        self.policy = policy
        # Is told of what this process has kept, if others are to have it too.
        self.kept: Callable[[bytes, CachedAnswer], None] | None = None
        self._entries: dict[bytes, CachedAnswer] = {}
        # A heap of when each entry is too old. The times of entries that are gone stay for a while.
        self._expiries: list[tuple[float, bytes]] = []
        # Bytes of entries, and of recordings.
        self.stored = 0
        self.held = 0

    def __repr__(self) -> str:
        return f"<AnswerStore {len(self)} entries, {self.stored} + {self.held} bytes>"

    def __len__(self) -> int:
        return len(self._entries)

    def adopt(self, policy: CachePolicy) -> None:
        """Go on under `policy`; what has no room any more is dropped."""
        self.policy = policy
        self._make_room(0)

    def get(self, key: bytes, now: float, ttl: float) -> CachedAnswer | None:
        """Return the answer to `key` if it is younger than `ttl` and has not expired."""
        self._expire(now)
        entry = self._entries.get(key)
        if entry is None or now >= entry.created + ttl:
            return None
        # Dicts keep the order of insertion: in again, and it is the newest.
        del self._entries[key]
        self._entries[key] = entry
        return entry

    def put(self, key: bytes, entry: CachedAnswer, now: float, *, own: bool = True) -> None:
        """Keep `entry`, in place of an older one, if it is not too large.

        One that is not this process's `own` is known to the others.
        """
        self._expire(now)
        self._drop(key)
        if len(entry.body) > self.policy.max_entry_bytes or not self._make_room(entry.size):
            return
        self._entries[key] = entry
        self.stored += entry.size
        heapq.heappush(self._expiries, (entry.created + entry.ttl, key))
        if own and self.kept is not None:
            self.kept(key, entry)

    # Answers under way...

    def hold(self, size: int) -> bool:
        """Count `size` bytes of a recording; False if there is no room even without entries."""
        if not self._make_room(size):
            return False
        self.held += size
        return True

    def release(self, size: int) -> None:
        """Give back what was held."""
        self.held -= size

    # Making room...

    def _make_room(self, size: int) -> bool:
        limit = self.policy.max_bytes - self.held - size
        if limit < 0 and size:
            return False
        while self.stored > limit and self._entries:
            self._drop(next(iter(self._entries)))
        return True

    def _drop(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.stored -= entry.size

    def _expire(self, now: float) -> None:
        expiries = self._expiries
        while expiries and expiries[0][0] <= now:
            due, key = heapq.heappop(expiries)
            entry = self._entries.get(key)
            # A newer answer to the same may have come in between.
            if entry is not None and entry.created + entry.ttl <= due:
                self._drop(key)
        if len(expiries) > 2 * len(self._entries) + 64:
            self._expiries = [(each.created + each.ttl, key) for key, each in self._entries.items()]
            heapq.heapify(self._expiries)


class AnswerRecording:
    """Collects one answer for the store; gives up, and holds nothing, once it is too large.

    A recording that was begun must be dropped in the end (`drop`), kept or not.
    """

    def __init__(self, store: AnswerStore, key: bytes, dialect: str, ttl: float) -> None:
        self._store = store
        self._dialect = dialect
        self._key = key
        self._ttl = ttl
        self._size = 0
        self._pieces: list[bytes] | None = []

    def __repr__(self) -> str:
        return f"<AnswerRecording {self._size} bytes{'' if self.going else ', dropped'}>"

    @property
    def going(self) -> bool:
        """Say whether all of the answer so far is here."""
        return self._pieces is not None

    def add(self, data: bytes) -> None:
        if self._pieces is None:
            return
        size = len(data)
        if self._size + size > self._store.policy.max_entry_bytes or not self._store.hold(size):
            self.drop()
            return
        self._size += size
        self._pieces.append(data)

    def drop(self) -> None:
        """Forget what was collected. Idempotent."""
        self._pieces = None
        self._store.release(self._size)
        self._size = 0

    def keep(self, status: int, headers: Pairs, now: float, *, stream: bool) -> None:
        """Store the answer, which is complete with what was added."""
        if self._pieces is None:
            return
        body = b"".join(self._pieces)
        self.drop()
        entry = CachedAnswer(
            status=status,
            dialect=self._dialect,
            headers=headers,
            body=body,
            stream=stream,
            created=now,
            ttl=self._ttl,
        )
        self._store.put(self._key, entry, now)
