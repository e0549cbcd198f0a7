"""The rewriter of a chat completion stream: provider's bytes in, caller's bytes out.

It changes what is the gateway's to change and nothing else: the model name becomes the one
that was asked for, usage is noted and shown only to who asked, `id:` and `retry:` are taken
out (after one `id:` the OpenAI SDK dispatches an empty event at every blank line and fails,
openai-python `_streaming.py`), `[DONE]` is kept back so that only a success ends with it.

An event that cannot be read is text that the caller would miss without knowing: it breaks the
stream, unless every choice has its end already.

The hot path: one msgspec pass checks and finds all of interest, then bytes are cut and joined.
"""

from __future__ import annotations

import json
from typing import Final

import msgspec

from ...records.counting import UsageRule
from ...records.usage import Usage
from ...wire.json_scan import NOTHING, check_utf8
from ...wire.model_name import ModelRenamer
from ...wire.splice import InvalidJSON, splice
from ...wire.sse import SseEvent, encode
from ..sse_rewriter import SseRewriter
from ..text_meter import TextMeter
from .chunk import CHAT, NULL, Choice, Chunk, Shape, delta_says, index_of, is_bare_word, says_more
from .events.choice_ends import ChoiceEnds
from .events.text_form import TextForm
from .faults import FAILED_REASONS, may_fail, named, reported, reported_by_choice, unwrapped, values
from .unstreamed import as_stream
from .usage.reports import UsageReports

DONE: Final = b"data: [DONE]\n\n"

_LF: Final = 0x0A
_UNSET: Final = msgspec.UNSET
_NULL_USAGE: Final = b',"usage":null}'
_USAGE_KEY: Final = b'"usage"'
# Of a letter in ASCII.
_ESCAPE: Final = b"\\u00"
# llama.cpp sends `prompt_progress` if a request has `return_progress` (tools/server/README.md);
# before there is any content to look into, a name that has the word is enough.
_ABSENT: Final = (_UNSET, NULL)
_PROGRESS: Final = b"progress"
_UNREADABLE: Final = "the provider sent an event that cannot be read"
_CHOICE_CUT: Final = "the provider ended the stream in the middle of a choice"


class ChatStreamRewriter(SseRewriter):
    """Rewrites one stream (see `base.StreamRewriter`) under the name `model`, which is JSON.

    It is `finished` once each of the `choices` that were asked for, and each that has come, has
    its finish_reason. `asked_usage` says that the provider was asked for usage, `searches` that it
    searches the web for the answer.
    """

    def __init__(
        self,
        model: bytes,
        *,
        keep_usage: bool,
        max_event_bytes: int,
        asked_usage: bool = True,
        choices: int = 1,
        shape: Shape = CHAT,
        usage_rule: UsageRule = "usual",
        searches: bool = False,
    ) -> None:
        super().__init__(max_event_bytes)
        self._reports = UsageReports(usage_rule)
        self._reported = False
        self._text = TextMeter()
        self._form = TextForm()
        self._keep_usage = keep_usage
        self._searches = searches
        self._asked_usage = asked_usage
        self._ends = ChoiceEnds(choices)
        self._index = -1  # of the choice that spoke last
        renamer = ModelRenamer(model)
        self._shape = shape
        # Bound once: they are called for every event.
        self._decode = shape.decode
        self._model = model
        self._set_model = renamer.set_model
        self._renamed = renamer.renamed

    @property
    def usage(self) -> Usage | None:
        usage = self._reports.usage
        # How often it has searched, the API does not say.
        return usage.with_searches(None) if self._searches and usage is not None else usage

    @property
    def awaits_usage(self) -> bool:
        return self._asked_usage and not self._reported

    def feed_answer(self, body: bytes) -> bytes:
        return self.feed(as_stream(body, self._shape))

    def finish(self) -> bytes:
        return DONE  # it was kept back, or the provider has forgotten it

    def _take(self, events: list[SseEvent]) -> bytes:
        out: list[bytes] = []
        sink, shown = self.sink, 0
        for event in events:
            data = event.data
            if data is None:
                out.append(event.comments + b"\n\n")
                continue
            if event.name and event.name == b"error":
                self.error = self._renamed(named(data))
                break
            rewritten = self._rewrite(data)
            if rewritten is not None:
                shown += 1
                if event.name or event.comments or _LF in rewritten:
                    if _PROGRESS in event.name and not self.meaningful:
                        self.progressed = True
                    if sink is None:
                        out.append(encode(SseEvent(rewritten, event.name, comments=event.comments)))
                    else:
                        sink.append(rewritten)
                elif sink is not None:
                    sink.append(rewritten)
                else:
                    out.append(b"data: %b\n\n" % rewritten)
            elif self.ended:
                break
        self.events += shown
        return b"".join(out)

    def _rewrite(self, data: bytes) -> bytes | None:
        """Return the event's new data; None to drop it."""
        try:
            if not data.isascii():
                # msgspec skips over strings that it does not have to decode.
                check_utf8(data)
            if self.meaningful and not self.finished:
                rewritten = self._form.rewritten(data)
                if rewritten is not None:
                    self._text.add_piece(self._form.size)
                    return rewritten
            whole = data
            chunk = self._decode(data)
            if chunk.error is not _UNSET and bytes(chunk.error) not in NOTHING:
                self.error = data if chunk.model is _UNSET else self._set_model(data)
                self._note_usage(b"" if chunk.usage is _UNSET else chunk.usage)
                return None
            choices = chunk.choices
            failed = self._note(choices, len(data)) if choices else may_fail(data)
            own = chunk.x_groq is not _UNSET or chunk.timings is not _UNSET
            if (own and self._note_own(chunk, data)) or (failed and self._fails(data, choices)):
                return None
            if not self.meaningful and _PROGRESS in data:
                self.progressed = True
            if chunk.usage is not _UNSET:
                if chunk.usage != NULL:
                    self._note_usage(chunk.usage)
                    if not choices and not self._keep_usage and not says_more(data):
                        return None
                if not self._keep_usage:
                    data = _without_usage(data)
            rewritten = data if chunk.model is _UNSET else self._set_model(data)
            if choices and not own and chunk.usage in _ABSENT:
                self._learn(choices, whole, rewritten)
            return rewritten
        except (msgspec.DecodeError, InvalidJSON, RecursionError):
            # What the typed reading passes over may be nested too deeply to be cut.
            return self._rewrite_odd(data)

    def _learn(self, choices: list[Choice], data: bytes, rewritten: bytes) -> None:
        """Take note of the form of an event from which there was nothing to note but its text."""
        choice = choices[0]
        if self.finished or len(choices) > 1 or choice.usage is not _UNSET:
            return
        if choice.finish_reason in _ABSENT and isinstance(choice.delta, msgspec.Raw):
            self._form.learn(data, bytes(choice.delta), rewritten)

    def _fails(self, data: bytes, choices: list[Choice] | None) -> bool:
        """Take note of the error that an event seems to report; say whether it does."""
        error = reported_by_choice(data) if choices else reported(data, values(data))
        self.error = None if error is None else self._renamed(error)
        return error is not None

    def _note_own(self, chunk: Chunk, data: bytes) -> bool:
        """Take note of members of single providers; say whether one reports an error."""
        if chunk.timings is not _UNSET:
            self._reports.add_timings(chunk.timings)
        if chunk.x_groq is not _UNSET:
            self._reports.add_nested(chunk.x_groq)
        self._note_report()
        return chunk.x_groq is not _UNSET and self._fails(data, None)

    def _note_usage(self, raw: bytes | msgspec.Raw) -> None:
        self._reports.add(raw)
        self._note_report()

    def _note_report(self) -> None:
        if not self._reported and self._reports.tell_of_answer(finished=self.finished):
            self._reported = True
            self.said += 1

    def _note(self, choices: list[Choice], length: int) -> bool:
        """Take note of an event's choices; say whether one of them reports an error."""
        self._text.event(choices, length)
        looks = self.finished or not self.meaningful
        for choice in choices:
            if choice.index != self._index:
                self._see(choice.index)
            reason = choice.finish_reason
            # Some servers send "" until there is a reason.
            if reason is not _UNSET and reason != NULL and (said := bytes(reason)) not in NOTHING:
                if said in FAILED_REASONS:
                    return True
                self._end_choice(choice.index)
            if choice.error is not _UNSET and bytes(choice.error) not in NOTHING:
                return True
            if choice.usage is not _UNSET:
                self._reports.add_of_choice(choice.index, choice.usage)
                self._note_report()
        if looks and any(delta_says(choice.delta) for choice in choices):
            self.meaningful = True
            self.said += 1
        return False

    def _see(self, index: int) -> None:
        self._index = index
        self._ends.see(index)
        self.finished = self._ends.all_ended

    def _end_choice(self, index: int) -> None:
        self._ends.end(index)
        self.finished = self._ends.all_ended
        self.meaningful = True
        self.said += 1

    def _rewrite_odd(self, data: bytes) -> bytes | None:
        """Handle what the typed reading refuses: the end, odd shapes, lone surrogates, no JSON."""
        if data.startswith(b"[DONE]"):
            if self._ends.one_is_cut:
                self.broken = _CHOICE_CUT
            else:
                self.done = True
            return None
        data = unwrapped(data) or data
        try:
            fields = values(data)
        except InvalidJSON:
            self.malformed += 1
            # When every choice is complete no text can be missing.
            if not self.finished and not is_bare_word(data):
                self.broken = _UNREADABLE
            return None
        choices = json.loads(fields.get("choices", b"null"), parse_int=float)
        found = choices if isinstance(choices, list) else []
        error = reported(data, fields, found)
        if error is not None:
            self.error = self._renamed(error)
            return None
        usage = fields.get("usage", b"null")
        self._note_usage(usage)
        if "x_groq" in fields:
            self._reports.add_nested(fields["x_groq"])
        if not choices and usage != b"null" and not self._keep_usage and not says_more(data):
            return None
        # It says something, whatever that is: let it through rather than hold it.
        self.meaningful = True
        self.said += 1
        self._text.add_found(choices)
        for choice in found:
            if isinstance(choice, dict):
                index = index_of(choice)
                self._reports.add_found_of_choice(index, choice.get("usage"))
                self._see(index)
                if choice.get("finish_reason"):
                    self._end_choice(index)
        self._note_report()
        remove = () if self._keep_usage else ("usage",)
        return splice(data, replace={"model": self._model}, remove=remove)


def _without_usage(data: bytes) -> bytes:
    # Comma and closing brace are the object's own if this is how it ends. Another member may have
    # the same name in other letters.
    end = len(data) - len(_NULL_USAGE)
    if data.endswith(_NULL_USAGE) and data.find(_USAGE_KEY) == end + 1 and _ESCAPE not in data:
        return data[:end] + b"}"
    return splice(data, remove=("usage",))
