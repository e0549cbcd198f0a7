"""Server-sent events: bytes in, events out, and back again.

Follows WHATWG HTML section 9.2 (html.spec.whatwg.org/multipage/server-sent-events.html), on
bytes: lines end at CR, LF or CRLF and nowhere else. `str.splitlines` and httpx's `iter_lines`
also cut at U+2028, U+0085, form feeds and so on, which tears JSON strings in two
(httpx-sse issue 34, langgraph PR 2593).

How it is fast: a stream of a thousand replies is mostly whole blocks `data: {...}\n\n`, so
`feed` asks one question of a whole chunk (are all its line feeds the ends of such blocks?) and
then needs one C-level split for all of its events. Everything else takes the path below it,
which cuts blocks, then lines, then fields.
"""

from __future__ import annotations

import codecs
from typing import Final

import msgspec

# What a model sends in one event is small, but a Responses API `response.completed` repeats the
# whole reply, images in base64 included.
MAX_EVENT_BYTES: Final = 16 * 1024 * 1024

_CR: Final = 0x0D
_LF: Final = 0x0A
_BEFORE: Final = b" \t\r\n" + codecs.BOM_UTF8
_BEGINNINGS: Final = (b"d", b"e", b"i", b"r", b":")


# No cycle can pass through it, so the collector need not look at each one (`gc=False`).
class SseEvent(msgspec.Struct, gc=False):
    """One block of the stream.

    `data` is the data lines joined by LF, None when the block had none; then it has comments.
    `id` and `retry` are None when absent or invalid. `comments` are whole lines, each with its
    leading colon, joined by LF.
    """

    data: bytes | None
    name: bytes = b""
    id: bytes | None = None
    retry: bytes | None = None
    comments: bytes = b""


class EventTooLarge(Exception):
    """A block is larger than the bound. `events` are those that were complete before it."""

    def __init__(self, limit: int, events: list[SseEvent]) -> None:
        super().__init__(f"an event is larger than {limit} bytes")
        self.limit = limit
        self.events = events


def looks_like_events(start: bytes) -> bool:
    """Say whether a body that begins with `start` can be a stream, whatever its type is.

    The first byte that is neither white space nor of a byte order mark decides: a field's name
    (`data`, `event`, `id`, `retry`) or a comment begins otherwise than JSON or HTML.
    """
    return first_byte(start) in _BEGINNINGS


def first_byte(start: bytes) -> bytes:
    """Return the first byte of a body that is neither white space nor of a byte order mark."""
    return start.lstrip(_BEFORE)[:1]


def begins(start: bytes) -> bool:
    """Say whether `start` has a byte by which `looks_like_events` can decide."""
    return bool(start.lstrip(_BEFORE))


class SseDecoder:
    """Cut a stream into events; how it was cut into chunks makes no difference.

    A block's size is counted with LF line ends and without its blank line. After
    `EventTooLarge` the decoder is of no further use.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._limit = max_event_bytes
        # The unfinished block, with LF line ends: never a whole blank line, nor one in front.
        self._buffer = bytearray()
        self._skip_lf = False  # the last chunk ended in CR, already taken for a line end
        self._bom: bytes | None = b""  # what came of a byte order mark; None once decided
        # Nothing is carried over from earlier chunks: the fast path may be taken. It takes no first
        # chunk that has a byte order mark.
        self._idle = True

    def __repr__(self) -> str:
        return f"<SseDecoder {self.pending} bytes pending>"

    @property
    def pending(self) -> int:
        """Return how many bytes of an unfinished block are held."""
        return len(self._buffer) + len(self._bom or b"")

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Return the events that `chunk` completes. Raises `EventTooLarge`."""
        if self._idle:
            # Measured: `in` with an int is 4 times faster than with bytes, and these two methods
            # are twice as fast as `startswith` and `endswith`.
            body = chunk.removeprefix(b"data: ").removesuffix(b"\n\n")
            size = len(chunk)
            if len(body) == size - 8 and size <= self._limit and _CR not in body:
                if _LF not in body:
                    self._bom = None
                    return [SseEvent(body)]
                datas = body.split(b"\n\ndata: ")
                if body.count(b"\n") == 2 * len(datas) - 2:
                    self._bom = None
                    return list(map(SseEvent, datas))
        return self._feed(chunk)

    def finish(self) -> SseEvent | None:
        """End the stream; return the event of a last block without its blank line, if any.

        WHATWG discards such a block, since it may have been cut off. OpenAI's SDKs deliver it
        (openai-python `_streaming.py`), and servers forget the last line feed. Whether the event
        is whole is for its reader to judge.
        """
        block = bytes(self._buffer).removesuffix(b"\n")
        self._buffer.clear()
        self._bom = None
        self._idle = False
        return _parse(block) if block else None

    # Everything that is not a chunk of plain, whole blocks...

    def _feed(self, chunk: bytes) -> list[SseEvent]:
        if self._bom is not None:
            chunk = self._strip_bom(chunk, self._bom)
        if self._skip_lf or _CR in chunk:
            chunk = self._normalise(chunk)
        if not chunk:
            self._idle = False
            return []
        buffer = self._buffer
        # Only the new bytes are searched, and appending to a bytearray is amortised: a block
        # that comes in N chunks costs its size, not N times its size.
        end = chunk.rfind(b"\n\n") + 2
        if end < 2:
            end = 1 if buffer and buffer[-1] == chunk[0] == _LF else 0
        events: list[SseEvent] = []
        if end:
            events = self._blocks(b"".join((buffer, chunk[:end])) if buffer else chunk[:end])
            buffer.clear()
            chunk = chunk[end:]
        # A line feed in front is the blank line of an empty block.
        buffer += chunk if buffer else chunk.lstrip(b"\n")
        self._idle = not buffer and not self._skip_lf and self._bom is None
        # The last line feed may yet prove to be the blank line's, which does not count.
        size = len(buffer)
        if size > self._limit and size - (buffer[-1] == _LF) > self._limit:
            raise EventTooLarge(self._limit, events)
        return events

    def _strip_bom(self, chunk: bytes, held: bytes) -> bytes:
        chunk = held + chunk
        if len(chunk) < 3 and codecs.BOM_UTF8.startswith(chunk):
            self._bom = chunk
            return b""
        self._bom = None
        return chunk.removeprefix(codecs.BOM_UTF8)

    def _normalise(self, chunk: bytes) -> bytes:
        """Turn every line end into LF, also a CRLF that was split between two chunks."""
        if not chunk:
            return chunk
        if self._skip_lf and chunk[0] == _LF:
            chunk = chunk[1:]
        self._skip_lf = chunk.endswith(b"\r")
        chunk = chunk.replace(b"\r\n", b"\n")
        return chunk.replace(b"\r", b"\n") if _CR in chunk else chunk

    def _blocks(self, text: bytes) -> list[SseEvent]:
        """Return the events of whole blocks; `text` ends in a blank line."""
        bounded = len(text) <= self._limit
        events: list[SseEvent] = []
        for block in text[:-2].split(b"\n\n"):
            if not bounded and len(block.strip(b"\n")) > self._limit:
                raise EventTooLarge(self._limit, events)
            head, feed, rest = block.partition(b"\n")
            data = (rest if feed else head).removeprefix(b"data: ")
            if not feed and len(data) == len(head) - 6:
                events.append(SseEvent(data))
                continue
            # How Anthropic and the Responses API send theirs: `event`, then one `data`.
            name = head.removeprefix(b"event: ")
            if len(name) + len(data) == len(block) - 14 and feed and _LF not in data:
                events.append(SseEvent(data, name))
            elif block and (event := _parse(block)) is not None:
                events.append(event)
        return events


def _parse(block: bytes) -> SseEvent | None:
    """Read a block's fields; None when it has neither data nor comments."""
    data: list[bytes] = []
    comments: list[bytes] = []
    event = SseEvent(None)
    for line in block.split(b"\n"):
        if line.startswith(b":"):
            comments.append(line)
            continue
        field, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if field == b"data":
            data.append(value)
        elif field == b"event":
            event.name = value
        elif field == b"id":
            if b"\0" not in value:
                event.id = value
        elif field == b"retry" and value.isdigit():
            event.retry = value
    if data:
        event.data = b"\n".join(data)
    elif not comments:
        return None
    event.comments = b"\n".join(comments)
    return event


def encode(event: SseEvent) -> bytes:
    """Return the block that decodes to `event`; b"" if it has neither data nor comments.

    A block without both would still be dispatched, and fail, in OpenAI's SDK (openai-python
    `_streaming.py`). Raises ValueError for a field that would break out of its line.
    """
    data = event.data
    if data is None and not event.comments:
        return b""
    head = b""
    # One comparison each is all that the usual event, with data only, pays here.
    if event.comments or event.name or event.id is not None or event.retry is not None:
        head = _head(event)
    if data is None:
        return head + b"\n"
    if _CR in data:
        # There is no way to send a CR: the receiver would take it for a line end and LF it is.
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if _LF in data:
        data = data.replace(b"\n", b"\ndata: ")
    return b"%bdata: %b\n\n" % (head, data)


def _head(event: SseEvent) -> bytes:
    lines = event.comments.split(b"\n") if event.comments else []
    if not all(line.startswith(b":") for line in lines):
        raise ValueError("a comment line starts with a colon")
    if event.name:
        lines.append(b"event: " + event.name)
    if event.id is not None:
        lines.append(b"id: " + event.id)
    if event.retry is not None:
        lines.append(b"retry: " + event.retry)
    if any(b"\n" in line or b"\r" in line for line in lines):
        raise ValueError("a field or comment cannot hold a line end")
    return b"\n".join(lines) + b"\n"
