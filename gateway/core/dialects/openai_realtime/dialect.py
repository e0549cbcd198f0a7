"""The dialects of OpenAI's sessions: how they are opened, and how an error looks in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs, quote

import msgspec

from ....errors import InvalidRequest
from ...wire.binary.socket_frames import SUBPROTOCOL
from ..base import DialectRequest, Recipient, StreamRewriter
from ..openai_chat.dialect import OpenAIDialect
from ..openai_chat.errors import error_body, error_status
from ..openai_responses.request import parse_responses
from ..sessions.base import SessionDialect, SessionOpening, SessionTalk
from .realtime import RealtimeTalk
from .turns import ResponsesTalk

# How browsers show a key, which can set no header (platform.openai.com/docs/guides/realtime-
# websocket). The others say to whose account it belongs: the gateway's own key does.
_KEY: Final = "openai-insecure-api-key."
_ACCOUNT: Final = ("openai-organization.", "openai-project.")
# The model by its names with OpenAI and with Azure.
_MODEL: Final = ("model", "deployment")
# What else of a query goes on to a provider.
_PASSED: Final = ("intent",)
_TRANSCRIPTION: Final = "transcription"
_FAULT: Final = 502


class OpenAISession(OpenAIDialect):
    """Sessions that are opened at `path`."""

    model_comes_first = False
    session_headers = frozenset({b"openai-beta", b"openai-safety-identifier", b"accept-language"})
    stream_marks = frozenset[bytes]()
    # An error is followed by a close.
    closes_failed = False

    def __init__(self, operation: str, path: str) -> None:
        self.name = f"openai_{operation}"
        self.operation = operation
        self.path = path

    def opening(self, query: bytes, offered: Sequence[str]) -> SessionOpening:
        key = next((each.removeprefix(_KEY) for each in offered if each.startswith(_KEY)), None)
        passed = tuple(
            each
            for each in offered
            if SUBPROTOCOL.fullmatch(each) and not each.startswith((_KEY, *_ACCOUNT))
        )
        found = _parameters(query)
        named = [found[name] for name in _MODEL if found.get(name)]
        if len(set(named)) > 1:
            raise InvalidRequest("the query names two models", param="model")
        return SessionOpening(
            model=named[0] if named else None,
            key=key.encode("latin-1", "replace") if key else None,
            offered=passed,
            chosen=passed[0] if passed else None,
        )

    def session_target(self, target: bytes, model: str, query: bytes) -> bytes:
        found = _parameters(query)
        name = b"deployment" if b"?api-version=" in target else b"model"
        # A session that only writes down has its model in a message (API reference, "Realtime
        # transcription sessions").
        named = not _transcribes(found)
        pairs = [name + b"=" + quote(model, safe="").encode()] if named else []
        pairs += [
            f"{each}={quote(value, safe='')}".encode()
            for each in _PASSED
            if (value := found.get(each))
        ]
        return target + (b"&" if b"?" in target else b"?") + b"&".join(pairs)

    def talk(self, name: str, recipient: Recipient, query: bytes) -> SessionTalk:
        return RealtimeTalk(name, recipient, transcribes=_transcribes(_parameters(query)))

    def read_request(self, body: bytes) -> DialectRequest:
        raise TypeError("a session is no request")

    def error_event(
        self, message: str, code: str, kind: str, after: StreamRewriter | None = None
    ) -> bytes:
        return self.relayed_error_event(error_body(message, kind, code))

    def relayed_error_event(self, data: bytes, after: StreamRewriter | None = None) -> bytes:
        # Clients of this library want an id of an error; that of the caller's event is not known.
        return msgspec.json.encode(
            {
                "type": "error",
                "event_id": "event_gateway",
                "error": {**_error_in(data), "event_id": None},
            }
        )


class ResponsesSession(OpenAISession):
    """Responses, one after another in one session."""

    model_comes_first = True

    def session_target(self, target: bytes, model: str, query: bytes) -> bytes:
        return target

    def talk(self, name: str, recipient: Recipient, query: bytes) -> SessionTalk:
        return ResponsesTalk(name, recipient)

    def read_request(self, body: bytes) -> DialectRequest:
        return parse_responses(body)

    def relayed_error_event(self, data: bytes, after: StreamRewriter | None = None) -> bytes:
        error = _error_in(data)
        # Codex reads `status` and `error`, openai-python the members of the event itself.
        about = {name: error.get(name) for name in ("code", "message", "param")}
        return msgspec.json.encode(
            {
                "type": "error",
                "status": error_status(data) or _FAULT,
                **about,
                "sequence_number": 0,
                "error": error,
            }
        )


def _parameters(query: bytes) -> dict[str, str]:
    found = parse_qs(query.decode("latin-1"), keep_blank_values=True, encoding="utf-8")
    for name, values in found.items():
        if len(values) > 1 and name in (*_MODEL, *_PASSED):
            raise InvalidRequest(f"the query has {name} twice", param=name)
    return {name: values[0] for name, values in found.items()}


def _transcribes(found: Mapping[str, str]) -> bool:
    return found.get("intent") == _TRANSCRIPTION


def _error_in(data: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        found = None
    error = found.get("error") if isinstance(found, dict) else None
    if not isinstance(error, dict):
        text = data[:1000].decode("utf-8", "replace")
        error = {"message": text, "type": "upstream_error", "param": None, "code": None}
    return error


REALTIME: Final[SessionDialect] = OpenAISession("realtime", "/v1/realtime")
REALTIME_TRANSLATIONS: Final[SessionDialect] = OpenAISession(
    "realtime_translations", "/v1/realtime/translations"
)
RESPONSES_SOCKET: Final[SessionDialect] = ResponsesSession("responses_socket", "/v1/responses")
