"""Errors that come with status 200, in each of the forms in which servers send them.

    {"error": {...}}                    OpenAI's object, with `choices` absent, null or empty
    {"object": "error", ...}            vLLM before 0.10: the object itself
    {"type": "error", ...}              the same of servers that think of Anthropic's API
    {"choices": [{"error": {...}}]}     OpenRouter (docs/api/reference/errors-and-debugging)
    {"choices": [{"finish_reason": "error"}]}
    {"x_groq": {"error": "..."}}        Groq (groq-python, `XGroq.error`)
    {"base_resp": {"status_code": 1008, "status_msg": "..."}}   MiniMax, with `choices` null
    {"error_code": 18, "error_msg": "..."}                      Baidu
    {"errors": [{...}]}                                         Cloudflare
    {"code": "...", "message": "..."}                           DashScope, API gateways
    {"detail": "..."}                                           FastAPI, so vLLM and LiteLLM
    [{"error": {...}}]                                          Gemini
    event: error                        any data, an object, text or nothing

All of them become the first: it is the one at which OpenAI's SDKs raise (openai-python
`_streaming.py`), and the one that `errors` reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from ...wire.json_scan import NOTHING
from ...wire.splice import InvalidJSON, members, splice

FAILED: Final = b'"error"'
# Finish reasons of an answer that its server has given up: OpenRouter's, Mistral's and vLLM's,
# Cohere's, and DeepSeek's (api-docs.deepseek.com, "interrupted due to insufficient resource").
FAILED_NAMES: Final = ("error", "ERROR", "insufficient_system_resource")
FAILED_REASONS: Final = frozenset(b'"%b"' % name.encode() for name in FAILED_NAMES)
_SILENT: Final = b'{"message":"the provider reports an error","type":"upstream_error"}'
_NULL: Final = b"null"
# What a choice can answer with: of a whole message, or of the legacy completions.
_ANSWERS: Final = ("message", "delta", "text")

# Members of an object that may report an error, and how they stand in its bytes.
_MAY_FAIL: Final = frozenset({"error", "base_resp", "error_code", "errors", "message", "detail"})
_SIGNS: Final = tuple(b'"%b"' % name.encode() for name in sorted(_MAY_FAIL))
# What MiniMax's codes stand for (platform.minimax.io, "Error Codes"). 1026 and 1027 are content
# that it does not like, 1008 an account without balance.
_STATUS_OF_MINIMAX: Final = {
    b"1002": 429,
    b"1039": 429,
    b"1041": 429,
    b"2045": 429,
    b"2056": 429,
    b"1004": 401,
    b"2049": 401,
    b"1008": 402,
    b"1026": 400,
    b"1027": 400,
    b"2013": 400,
}

# Codes beside a message that is no error's.
_FINE: Final = NOTHING | {b'"0"', b"200", b'"200"', b'"ok"', b'"OK"', b'"success"', b'"Success"'}
_HTTP_STATUSES: Final = ("status", "status_code", "statusCode")
_HTTP_ERROR: Final = re.compile(rb'"?[45]\d\d"?')
_BOM: Final = b"\xef\xbb\xbf"

_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])
_CHOICES: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def values(data: bytes) -> dict[str, bytes]:
    """Return the top-level members of an object. Raises InvalidJSON, NotAnObject."""
    return {found.key: data[found.value_start : found.end] for found in members(data)}


def unwrapped(data: bytes) -> bytes | None:
    """Return the JSON object in `data` that is behind a byte order mark or alone in a list."""
    if data.startswith(_BOM):
        # Parsers may ignore it (RFC 8259 section 8.1).
        return data.removeprefix(_BOM)
    try:
        found = _LIST.decode(data) if data.lstrip().startswith(b"[") else []
    except (msgspec.DecodeError, RecursionError):
        return None
    inner = bytes(found[0]) if len(found) == 1 else b""
    return inner if inner.startswith(b"{") else None


def reported(data: bytes, fields: Mapping[str, bytes], choices: Iterable[Any] = ()) -> bytes | None:
    """Return the error that an object without choices reports, `data` with `error`; or None.

    `choices` are those of an object that has some after all, decoded.
    """
    if fields.get("error", _NULL) not in NOTHING:
        return data
    if FAILED in (fields.get("object"), fields.get("type")):
        return b'{"error":%b}' % data
    found = _reported_by_one(data, fields)
    if found is None and any(_fails(choice) for choice in choices):
        return reported_by_choice(data) or splice(data, put={"error": _SILENT})
    return found


def _fails(choice: Any) -> bool:
    return isinstance(choice, dict) and bool(
        choice.get("error") or choice.get("finish_reason") in FAILED_NAMES
    )


def _reported_by_one(data: bytes, fields: Mapping[str, bytes]) -> bytes | None:
    """Return the error in one of the forms that a single provider has."""
    if "x_groq" in fields and (found := _in_x_groq(fields["x_groq"])) is not None:
        return splice(data, put={"error": found})
    if "base_resp" in fields:
        return _in_base_resp(fields["base_resp"])
    if fields.get("error_code", _NULL) not in NOTHING:
        return _told(fields["error_code"], fields.get("error_msg", _NULL))
    if (errors := choices_of(fields.get("errors", _NULL))) and errors[0]:
        return b'{"error":%b}' % msgspec.json.encode(errors[0])
    return _bare(data, fields) if fields.get("choices", _NULL) == _NULL else None


def _bare(data: bytes, fields: Mapping[str, bytes]) -> bytes | None:
    """Return the error whose members stand in `data` themselves, with nothing that says so."""
    if fields.get("message", _NULL).startswith(b'"') and (
        fields.get("code", _NULL) not in _FINE
        or any(_HTTP_ERROR.fullmatch(fields.get(name, _NULL)) for name in _HTTP_STATUSES)
    ):
        return b'{"error":%b}' % data
    detail = fields.get("detail", _NULL)
    return None if detail in NOTHING else _told(_NULL, detail)


def _in_x_groq(raw: bytes) -> bytes | None:
    """Return the error of Groq's `x_groq`, which says why a stream was stopped early."""
    try:
        error = bytes(_OBJECT.decode(raw).get("error", _NULL))
    except (msgspec.DecodeError, RecursionError):
        return None
    if error in NOTHING:
        return None
    return b'{"message":%b,"type":"upstream_error"}' % error if error.startswith(b'"') else error


def _in_base_resp(raw: bytes) -> bytes | None:
    """Return the error of MiniMax's `base_resp`; its code 0 says that all is well."""
    try:
        fields = _OBJECT.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    code = bytes(fields.get("status_code", _NULL))
    if code in NOTHING:
        return None
    status = _STATUS_OF_MINIMAX.get(code)
    return _told(code, bytes(fields.get("status_msg", _NULL)), b"%d" % status if status else _NULL)


def _told(code: bytes, message: bytes, status: bytes = _NULL) -> bytes:
    if not message.startswith(b'"'):
        message = b'"the provider reports an error"'
    return (
        b'{"error":{"message":%b,"type":"upstream_error","param":null,"code":%b,"status":%b}}'
        % (message, code, status)
    )


def may_fail(data: bytes) -> bool:
    """Say whether an object without choices may report an error."""
    return any(sign in data for sign in _SIGNS)


def choices_of(raw: bytes) -> list[dict[str, msgspec.Raw]]:
    """Return the members of each of the `choices`; none if they are of another form."""
    try:
        return _CHOICES.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return []


def reported_by_choice(data: bytes) -> bytes | None:
    """Return `data` with the `error` that one of its choices reports; None if none does."""
    try:
        choices = choices_of(values(data).get("choices", _NULL))
    except InvalidJSON:
        return None
    for choice in choices:
        error = bytes(choice.get("error", _NULL))
        if error not in NOTHING or bytes(choice.get("finish_reason", _NULL)) in FAILED_REASONS:
            return splice(data, put={"error": _SILENT if error in NOTHING else error})
    return None


def named(data: bytes) -> bytes:
    """Return the error of an `event: error`, whatever its data is."""
    data = unwrapped(data) or data
    try:
        fields = values(data)
    except InvalidJSON:
        text = data.decode("utf-8", "replace").strip()
        error = msgspec.json.encode({"message": text, "type": "upstream_error"})
        return b'{"error":%b}' % (error if text else _SILENT)
    found = reported(data, fields)
    if found is not None:
        return found
    return b'{"error":%b}' % (data if fields else _SILENT)


def reported_by_answer(body: bytes, fields: Mapping[str, bytes]) -> bytes | None:
    """Return the error that a whole answer with these members reports instead of its text."""
    if not _MAY_FAIL.intersection(fields) and not any(each in body for each in FAILED_REASONS):
        return None
    by_choice = reported_by_choice(body)
    if by_choice is not None:
        return by_choice
    # Text with an error beside it, of whatever kind, is a text: the caller has an answer.
    return None if answers(fields.get("choices", _NULL)) else reported(body, fields)


def answers(choices: bytes) -> bool:
    """Say whether the raw `choices` of a whole answer have anything to show beside an error."""
    try:
        found = _CHOICES.decode(choices)
    except (msgspec.DecodeError, RecursionError):
        # An unknown form, but not nothing.
        return choices not in NOTHING
    return any(_says(choice.get(name)) for choice in found for name in _ANSWERS)


def _says(answer: msgspec.Raw | None) -> bool:
    if answer is None or bytes(answer) in NOTHING:
        return False
    try:
        fields = _OBJECT.decode(answer)
    except (msgspec.DecodeError, RecursionError):
        return True
    return any(key != "role" and bytes(value) not in NOTHING for key, value in fields.items())
