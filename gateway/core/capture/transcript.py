"""What the debug log has of one request: lines of JSON, each of one kind.

    request   the request and its caller, without credentials
    answer    the head of what was answered, if anything was
    event     one event of a stream, with its time
    body      a whole answer; or the rest of a stream that ends within an event
    end       the request's record, and whether anything is missing

Times are milliseconds since the request's arrival. What is taken out is taken out here, before
anything is written; how a stream was cut into pieces makes no difference to its events.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

import msgspec

from ..records.record import milliseconds
from ..wire.sse import SseEvent
from .capture import Capture
from .redaction import WITHHELD, Redacted, Redactor
from .stream_events import StreamEvents

VERSION: Final = 1
# What stands for a body that was not kept, and why.
UNREADABLE: Final = "not kept: it is no JSON, so what is to be redacted could not be found"
PASSED_ON: Final = "not kept: it was passed on as it came"
CUT_OFF: Final = "not kept: it was cut off, so what is to be redacted could not be found"

Headers = list[tuple[str, str]]


class _Line(msgspec.Struct, omit_defaults=True, tag_field="kind"):
    pass


class Content(msgspec.Struct, omit_defaults=True):
    """Bytes: as text, or in base64 if they are no UTF-8; `withheld` says why there are none."""

    text: str = ""
    encoding: str = "utf-8"
    withheld: str | None = None

    @property
    def data(self) -> bytes:
        """Return the bytes. Raises ValueError if they are not base64 after all."""
        if self.encoding == "base64":
            return base64.b64decode(self.text, validate=True)
        return self.text.encode()


class RequestLine(_Line, tag="request", kw_only=True):
    """`time` is Unix seconds, `size` the body's, which is `truncated` if less was kept."""

    version: int
    id: str
    time: float
    token: str | None = None
    model: str | None = None
    method: str
    target: str
    headers: Headers
    body: Content
    size: int
    truncated: bool = False
    redacted: bool = False


class AnswerLine(_Line, tag="answer", kw_only=True):
    at_ms: float
    status: int
    headers: Headers
    stream: bool = False


class EventLine(_Line, tag="event", kw_only=True):
    """One event; `data` is None for one that is only a comment, such as a keep-alive."""

    at_ms: float
    data: str | None = None
    name: str = ""
    id: str | None = None
    comment: str = ""


class BodyLine(_Line, tag="body", kw_only=True):
    at_ms: float
    body: Content


class EndLine(_Line, tag="end", kw_only=True):
    """`lost` is how many bytes of the answer were not kept."""

    record: dict[str, Any] | None = None
    lost: int = 0
    truncated: bool = False


Line = RequestLine | AnswerLine | EventLine | BodyLine | EndLine


class Transcript(msgspec.Struct, kw_only=True):
    """One request as it was kept. Without an `end`, something is wrong with its file."""

    request: RequestLine
    answer: AnswerLine | None = None
    events: list[EventLine] = []
    body: BodyLine | None = None
    end: EndLine | None = None


_ENCODE: Final = msgspec.json.Encoder().encode
_DECODE: Final = msgspec.json.Decoder(Line).decode


def encode(capture: Capture) -> Iterator[bytes]:
    """Yield the lines of a finished capture, with their line ends."""
    redactor = Redactor(capture.policy.paths, capture.request.secrets)
    yield _ENCODE(_request(capture, redactor)) + b"\n"
    if capture.status is not None:
        yield _ENCODE(_answer(capture, redactor)) + b"\n"
        lines = _stream(capture, redactor) if capture.stream else _whole(capture, redactor)
        for line in lines:
            yield _ENCODE(line) + b"\n"
    yield _ENCODE(_end(capture, redactor)) + b"\n"


def decode(lines: Iterable[bytes]) -> Transcript | None:
    """Read lines back; None if they do not begin as they should.

    What can't be read is where the transcript ends: a file may be damaged, and an incomplete
    one says more than none.
    """
    found: Transcript | None = None
    for text in lines:
        try:
            line: Line = _DECODE(text)
        except (msgspec.DecodeError, RecursionError):
            break
        if isinstance(line, RequestLine):
            if found is not None:
                break
            found = Transcript(request=line)
        elif found is None:
            break
        elif isinstance(line, AnswerLine):
            found.answer = line
        elif isinstance(line, EventLine):
            found.events.append(line)
        elif isinstance(line, BodyLine):
            found.body = line
        else:
            found.end = line
    return found


def _request(capture: Capture, redactor: Redactor) -> RequestLine:
    request = capture.request
    body = _EMPTY
    if request.body:
        body = redactor.document(request.body, whole=not capture.body_cut)
    target = redactor.target(request.target)
    return RequestLine(
        version=VERSION,
        id=redactor.string(request.request_id),
        time=request.time,
        token=request.token,
        model=None if request.model is None else redactor.string(request.model),
        method=request.method,
        target=target,
        headers=redactor.headers(request.headers),
        body=Content(withheld=PASSED_ON)
        if request.passed_on
        else _content(body, cut=capture.body_cut),
        size=capture.body_size,
        truncated=capture.body_cut,
        redacted=body.changed or target != request.target,
    )


_EMPTY: Final = Redacted(b"")


def _answer(capture: Capture, redactor: Redactor) -> AnswerLine:
    return AnswerLine(
        at_ms=_since(capture, capture.answer_at),
        status=capture.status or 0,
        headers=redactor.headers(capture.answer_headers),
        stream=capture.stream,
    )


def _end(capture: Capture, redactor: Redactor) -> EndLine:
    known: dict[str, Any] | None = None
    if capture.record is not None:
        known = redactor.strings(msgspec.to_builtins(capture.record))
        if capture.record.user is not None:
            # It was in the body, where a path may name it.
            known["user"] = redactor.member("user", capture.record.user)
    return EndLine(record=known, lost=capture.lost, truncated=capture.lost > 0 or capture.body_cut)


def _stream(capture: Capture, redactor: Redactor) -> Iterator[Line]:
    events = StreamEvents(capture)
    for at, event in events:
        yield _event(event, _since(capture, at), redactor, capture.request.marks)
    if rest := events.rest:
        found = WITHHELD if redactor.selective else Redacted(redactor.text(rest, whole=False))
        yield BodyLine(at_ms=_since(capture, capture.answered_at), body=_content(found, cut=True))


def _whole(capture: Capture, redactor: Redactor) -> Iterator[Line]:
    if capture.answer:
        cut = capture.lost > 0
        found = redactor.document(bytes(capture.answer), whole=not cut)
        yield BodyLine(at_ms=_since(capture, capture.answered_at), body=_content(found, cut=cut))


def _event(
    event: SseEvent, at_ms: float, redactor: Redactor, marks: Collection[bytes]
) -> EventLine:
    data = event.data
    shown: str | None = None
    if data is not None:
        found = Redacted(data) if data in marks else redactor.document(data)
        shown = f"[{UNREADABLE}]" if found.data is None else found.data.decode("utf-8", "replace")
    return EventLine(
        at_ms=at_ms,
        data=shown,
        name=redactor.text(event.name).decode("utf-8", "replace"),
        id=None if event.id is None else redactor.text(event.id).decode("utf-8", "replace"),
        comment=redactor.text(event.comments).decode("utf-8", "replace"),
    )


def _content(found: Redacted, *, cut: bool) -> Content:
    data = found.data
    if data is None:
        return Content(withheld=CUT_OFF if cut else UNREADABLE)
    try:
        return Content(data.decode())
    except UnicodeDecodeError as exc:
        if cut and exc.start >= len(data) - 3:
            # The cut went through a character.
            return Content(data[: exc.start].decode())
        return Content(base64.b64encode(data).decode("ascii"), "base64")


def _since(capture: Capture, at: float) -> float:
    return milliseconds(at - capture.request.arrived)
