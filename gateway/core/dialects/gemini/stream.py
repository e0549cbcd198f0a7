"""The rewriter of a stream of generateContent: provider's bytes in, caller's bytes out.

It changes the model's name in `modelVersion` and nothing else: events, their order and unknown
members stay. The provider is always asked for SSE; what its caller reads, `Framing` knows.

Gemini has no event for the end: a stream is whole once each candidate has its finish reason, or the
prompt was blocked. An event that cannot be read is text that the caller would miss without knowing:
it breaks the stream, unless that is whole.

The hot path: one msgspec pass checks an event's syntax and finds the members of interest, then the
name is cut out of its bytes.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ...records.usage import Usage
from ...wire.json_scan import NOTHING, check_utf8
from ...wire.splice import InvalidJSON, NotAnObject, members, splice
from ...wire.sse import SseEvent
from ..openai_chat.events.choice_ends import ChoiceEnds
from ..sse_rewriter import SseRewriter
from ..text_meter import TextMeter
from .chunk import CANDIDATES, CHUNK, AnswerChunk, content_says, is_blocked
from .framing import Framing
from .unstreamed import as_stream
from .usage import GeminiUsage

_UNSET: Final = msgspec.UNSET
_VERSION: Final = b'"modelVersion"'
_ESCAPE: Final = b"\\u00"
_UNREADABLE: Final = "the provider sent an event that cannot be read"
_CUT: Final = "the provider ended the stream in the middle of a candidate"
_SILENT: Final = b'{"error":{"code":500,"message":%b,"status":"INTERNAL"}}'
_NO_WORDS: Final = b'"the provider reports an error"'
# Servers that are compatible with several APIs end all of their streams with it.
_DONE: Final = b"[DONE]"


class GeminiStreamRewriter(SseRewriter):
    """Rewrites one stream (see `base.StreamRewriter`). `model` is the requested name as JSON.

    `candidates` is how many were asked for, `array` says that the caller reads a JSON array.
    """

    # Usage comes with the events that every stream has.
    awaits_usage = False

    def __init__(
        self, model: bytes, *, max_event_bytes: int, array: bool = False, candidates: int = 1
    ) -> None:
        super().__init__(max_event_bytes)
        self.framing = Framing(array=array)
        self._model = model
        # The member that was replaced last, and what it became.
        self._version = b""
        self._old = b""
        self._new = b"%b:%b" % (_VERSION, model)
        self._ends = ChoiceEnds(candidates)
        self._index = -1  # of the candidate that spoke last
        self._reports = GeminiUsage()
        self._text = TextMeter()

    @property
    def usage(self) -> Usage | None:
        """Return what the provider has reported so far."""
        return self._reports.usage

    def feed_answer(self, body: bytes) -> bytes:
        """Return what the caller gets for a whole answer, sent instead of a stream.

        Raises NotAnAnswer.
        """
        return self.feed(as_stream(body)) + self.end()

    def end(self) -> bytes:
        output = super().end()
        if self.finished and not self.ended:
            # The end of the body is the only end that this API has.
            self.done = True
        return output

    def finish(self) -> bytes:
        return self.framing.end()

    def _take(self, events: list[SseEvent]) -> bytes:
        out: list[bytes] = []
        sink, frame = self.sink, self.framing.event
        for event in events:
            data = event.data
            if data is None:
                # A comment would be an event to google-genai (its `_api_client.py`).
                continue
            if event.name == b"error":
                self._fail(data)
                break
            rewritten = self._rewrite(data)
            if rewritten is not None:
                self.events += 1
                if sink is None:
                    out.append(frame(rewritten))
                else:
                    sink.append(rewritten)
            elif self.ended:
                break
        return b"".join(out)

    def _rewrite(self, data: bytes) -> bytes | None:
        """Return the event's new data; None to drop it."""
        try:
            if not data.isascii():
                # msgspec skips over strings that it does not have to decode.
                check_utf8(data)
            chunk = CHUNK.decode(data)
        except (msgspec.DecodeError, InvalidJSON, RecursionError):
            return self._rewrite_odd(data)
        if chunk.error is not _UNSET and bytes(chunk.error) not in NOTHING:
            self._fail(data)
            return None
        self._note(chunk, len(data))
        version = chunk.model_version
        if version is _UNSET or bytes(version) == self._model:
            return data
        return self._renamed(data, bytes(version))

    def _note(self, chunk: AnswerChunk, length: int) -> None:
        """Take note of what an event says."""
        if chunk.usage_metadata is not _UNSET:
            self._reports.add(chunk.usage_metadata)
        candidates = chunk.candidates
        if candidates:
            self._text.event(candidates, length)
            for candidate in candidates:
                if candidate.index != self._index:
                    self._index = candidate.index
                    self._ends.see(candidate.index)
                if not self.meaningful and content_says(candidate.delta):
                    self._mean()
                if candidate.finish_reason is not _UNSET and candidate.ends:
                    self._ends.end(candidate.index)
                    # An answer may be empty (a blocked one is), and is one all the same.
                    self._mean()
                    self.finished = self._ends.all_ended
                elif self.finished:
                    self.finished = self._ends.all_ended
        elif chunk.prompt_feedback is not _UNSET and is_blocked(chunk.prompt_feedback):
            self.finished = True
            self._mean()

    def _rewrite_odd(self, data: bytes) -> bytes | None:
        """Handle what the typed reading refuses: odd types, lone surrogates, no JSON."""
        if data.strip() == _DONE:
            if self._ends.one_is_cut:
                self.broken = _CUT
            elif self.finished:
                self.done = True
            return None
        try:
            found = {each.key: data[each.value_start : each.end] for each in members(data)}
        except (NotAnObject, InvalidJSON):
            self.malformed += 1
            # When every candidate is complete no text can be missing.
            if not self.finished:
                self.broken = _UNREADABLE
            return None
        if found.get("error", b"null") not in NOTHING:
            self._fail(data)
            return None
        chunk = AnswerChunk()
        for name, raw in (
            ("usage_metadata", found.get("usageMetadata")),
            ("prompt_feedback", found.get("promptFeedback")),
        ):
            if raw is not None:
                setattr(chunk, name, msgspec.Raw(raw))
        try:
            chunk.candidates = CANDIDATES.decode(found.get("candidates", b"[]"))
        except (msgspec.DecodeError, RecursionError):
            # It says something, whatever that is: let it through rather than hold it.
            self._mean()
        self._note(chunk, len(data))
        return splice(data, replace={"modelVersion": self._model})

    def _renamed(self, data: bytes, version: bytes) -> bytes:
        """Return `data`, whose model is `version`, under the requested name."""
        if version != self._version:
            self._version, self._old = version, b"%b:%b" % (_VERSION, version)
        at = data.find(self._old)
        if at >= 0 and data.count(_VERSION) == 1 and _ESCAPE not in data:
            # The only such key in all of it, at whatever depth.
            return b"%b%b%b" % (data[:at], self._new, data[at + len(self._old) :])
        return splice(data, replace={"modelVersion": self._model})

    def _mean(self) -> None:
        self.meaningful = True
        self.said += 1

    def _fail(self, data: bytes) -> None:
        """Take note of an error event, whatever its data is."""
        try:
            found = {each.key for each in members(data)}
        except InvalidJSON:
            text = data.decode("utf-8", "replace").strip()
            self.error = _SILENT % (msgspec.json.encode(text) if text else _NO_WORDS)
            return
        if "error" in found:
            self.error = data
        else:
            self.error = b'{"error":%b}' % data if found else _SILENT % _NO_WORDS
