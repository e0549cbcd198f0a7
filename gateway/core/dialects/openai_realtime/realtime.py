"""The messages of a Realtime session (API reference, "Realtime", client and server events).

Nearly all are sound. The model of a session is named when it is opened, and may be named again in
`session.update`; a transcriber of what the caller says is another model, named there, too. What the
transcriber takes is reported apart, and is not among the prices of the session's model.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ....errors import InvalidRequest
from ...records.usage import Usage
from ...wire.member_names import NameTable
from ...wire.splice import splice
from ..base import Recipient
from ..bodies.request_body import members_inside, members_of_body, string_of
from ..sessions.base import CallerMessage, ProviderMessage
from .events import event_of, members
from .usage import session_usage

# These hold a caller's sound or text and no model. They are most of what a caller sends.
_PLAIN: Final = frozenset({"input_audio_buffer.append", "session.input_audio_buffer.append"})
_UPDATES: Final = frozenset({"session.update", "transcription_session.update"})
_ASKS: Final = "response.create"
_BEGINS: Final = "response.created"
_ENDS: Final = "response.done"
_ERROR: Final = "error"
_TRANSCRIBED: Final = "conversation.item.input_audio_transcription.completed"
_READ: Final = NameTable(("type", "session", "response"))
_SESSION: Final = NameTable(("model", "audio", "input_audio_transcription", "type"))
_AUDIO: Final = NameTable(("input",))
_INPUT: Final = NameTable(("transcription",))
_TRANSCRIPTION: Final = NameTable(("model",))
_PASSED: Final = CallerMessage()
_HEARD: Final = ProviderMessage()
_NULL: Final = b"null"


class RealtimeTalk:
    """A session with `recipient`, whose caller calls its model `name`.

    `transcribes` says that the session itself is a transcription, so that its model is the one
    that the reports of transcriptions are about.
    """

    def __init__(self, name: str, recipient: Recipient, *, transcribes: bool = False) -> None:
        self.working = False
        self.events = 0
        self.answers: list[Usage] = []
        self.uncounted = False
        self._name = name
        self._model = recipient.model_json
        self._transcribes = transcribes

    def __repr__(self) -> str:
        state = "working" if self.working else "waiting"
        return f"<RealtimeTalk {state}, {len(self.answers)} answers>"

    def from_caller(self, text: str) -> CallerMessage:
        event = event_of(text)
        # One brace and no bracket: nothing stands in it that any other reader could read otherwise.
        flat = text.count("{") == 1 and "[" not in text and text.count('"type"') == 1
        if event is not None and event.type in _PLAIN and flat:
            return _PASSED
        body = text.encode()
        found = members_of_body(body, _READ)
        values = {each.key: body[each.value_start : each.end] for each in found}
        kind = string_of(values.get("type", b'""'), "type")
        if kind == _ASKS:
            self.working = True
            return CallerMessage(asks=True)
        if kind not in _UPDATES or "session" not in values:
            return _PASSED
        session = members_inside(values["session"], "session", _SESSION)
        models = self._transcribers(session)
        given = session.get("model", _NULL)
        if given == _NULL:
            return CallerMessage(models=models)
        model = string_of(given, "session.model")
        if self._transcribes:
            models = (*models, model)
        elif model != self._name:
            raise InvalidRequest(
                f"the model of a session is the one that it was opened with, {self._name!r}",
                param="session.model",
                code="model_changed",
            )
        changed = splice(values["session"], put={"model": self._model})
        sent = splice(body, put={"session": changed}, known=found)
        return CallerMessage(models=models, text=sent.decode())

    def _transcribers(self, session: dict[str, bytes]) -> tuple[str, ...]:
        """Return the models that are to write down what the caller says."""
        named = [session.get("input_audio_transcription", _NULL)]
        audio = session.get("audio", _NULL)
        if audio != _NULL:
            given = members_inside(audio, "session.audio", _AUDIO).get("input", _NULL)
            if given != _NULL:
                inner = members_inside(given, "session.audio.input", _INPUT)
                named.append(inner.get("transcription", _NULL))
        models = []
        for each in named:
            if each == _NULL:
                continue
            model = members_inside(each, "transcription", _TRANSCRIPTION).get("model", _NULL)
            if model != _NULL:
                models.append(string_of(model, "transcription.model"))
        return tuple(models)

    def from_provider(self, text: str) -> ProviderMessage:
        self.events += 1
        event = event_of(text)
        if event is None:
            return _HEARD
        if event.type == _BEGINS:
            self.working = True
        elif event.type == _ENDS:
            self.working = False
            self._count(members(event.response))
        elif event.type == _ERROR:
            self.working = False
            return ProviderMessage(fails=True)
        elif event.type == _TRANSCRIBED:
            usage = session_usage(event.usage) if self._transcribes else None
            self._add(usage)
        return _HEARD

    def _count(self, response: dict[str, msgspec.Raw]) -> None:
        self._add(session_usage(response.get("usage", msgspec.Raw(b""))))

    def _add(self, usage: Usage | None) -> None:
        if usage is None:
            self.uncounted = True
        else:
            self.answers.append(usage)
