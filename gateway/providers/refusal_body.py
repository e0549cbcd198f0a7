"""The bodies in which servers that speak OpenAI's API say no, taken apart.

    {"error": {"message": ..., "type": ..., "code": ...}}   OpenAI, Azure, Groq, llama.cpp, ...
    {"code": ..., "error": "..."}                           xAI
    {"object": "error", "message": ..., "type": ...}        vLLM, SGLang, Mistral
    {"detail": "..."}                                       DeepSeek, FastAPI
    [{"error": {"code": 429, "details": [...]}}]            Gemini's compatible endpoint
    {"message": ..., "__type": ...}                         Bedrock
    {"errors": [{"message": ..., "code": ...}]}             Cloudflare, watsonx
    {"base_resp": {"status_code": ..., "status_msg": ...}}  MiniMax

A gateway before the provider may put its whole answer, as text, into the message (Gemini) or
into the metadata (OpenRouter): that is read, too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ..core.routing.refusals import NOTHING, Refusal

# A list with an answer, whose message is another one: seven levels down to its own message.
_DEPTH: Final = 8
# Sentences of providers are shorter. What comes behind is more likely an echo of the request.
_LONGEST: Final = 1000
_CODES: Final = (
    *("code", "type", "status", "reason", "error_type", "__type", "Code", "error_code"),
    "status_code",
)
_MESSAGES: Final = (
    *("message", "error", "detail", "msg", "Message", "error_msg", "error_message"),
    *("errors", "status_msg"),
)
# Where further codes stand: Azure's inner error, LiteLLM's copy of it, OpenRouter's metadata.
_INNER: Final = (
    *("innererror", "inner_error", "innerError", "provider_specific_fields", "metadata"),
    *("details", "base_resp"),
)
# What a caller wrote comes back in quotes. An apostrophe stands between letters or behind them.
_APOSTROPHE: Final = re.compile(r"(?<=\w)\u2019(?=\w)")
_QUOTED: Final = re.compile(r"""(?<!\w)'[^']*'(?!\w)|(?<!\w)"[^"]*"(?!\w)|\u201c[^\u201d]*\u201d""")
# "Please retry in 58.9s", "Please try again in 7m12s", "Please retry after 20 seconds".
_ASKED: Final = re.compile(
    r"\bplease (?:re)?try (?:again )?(?:in|after)"
    r" (?:(?P<h>\d+)h)?(?:(?P<m>\d+)m(?!s))?(?:(?P<s>\d+(?:\.\d+)?) ?s(?:ec(?:ond)?s?)?\b)?"
    r"(?:(?P<ms>\d+(?:\.\d+)?) ?ms\b)?",
    re.IGNORECASE,
)
_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def read_refusal(body: bytes) -> Refusal:
    """Take `body` apart. Whatever the bytes are, the answer is what can be read of them."""
    found = _decode(body)
    if found is None:
        return _of_message(body[:_LONGEST].decode("utf-8", "replace"))
    return _merged([*_parts(found, _DEPTH)])


def _decode(body: bytes | str) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, UnicodeEncodeError, RecursionError):
        return None


def _parts(found: Any, depth: int) -> Iterator[Refusal]:
    """Yield what `found` and what is in it say, the outermost first."""
    if depth < 0:
        return
    if isinstance(found, list):
        for each in found[:8]:
            yield from _parts(each, depth - 1)
        return
    if isinstance(found, str):
        inner = _decode(found) if found.lstrip()[:1] in ("{", "[") else None
        yield _of_message(found) if inner is None else _merged([*_parts(inner, depth - 1)])
        return
    if not isinstance(found, dict):
        return
    codes = {
        code
        for key in _CODES
        if isinstance(found.get(key), str | int)
        for code in _code_and_class(str(found[key]).lower())
    }
    if found.get("flagged_input"):
        codes.add("flagged_input")  # OpenRouter's moderation
    yield Refusal(frozenset(codes), wait=_retry_delay(found.get("retryDelay")))
    for key in (*_MESSAGES, *_INNER):
        yield from _parts(found.get(key), depth - 1)
    # OpenRouter's copy of what the provider behind it said.
    if isinstance(raw := found.get("raw"), str):
        yield from _parts(raw, depth - 1)


def _code_and_class(code: str) -> tuple[str, str]:
    """Return a code without its namespace, and the class that it is of.

    AWS writes `com.amazon.coral.service#ThrottlingException`, DashScope and Volcengine
    `Throttling.AllocationQuota` and `InputTextSensitiveContentDetected.PolicyViolation`.
    """
    name = code.rpartition("#")[2]
    return name, name.partition(".")[0]


def _merged(parts: list[Refusal]) -> Refusal:
    if not parts:
        return NOTHING
    return Refusal(
        frozenset().union(*(each.codes for each in parts)),
        "\n".join(each.message for each in parts if each.message)[: 2 * _LONGEST],
        # Gemini says "58s" to programs and "58.9s" to people: the longer one is not too early.
        max((each.wait for each in parts if each.wait is not None), default=None),
    )


def _of_message(text: str) -> Refusal:
    message = _QUOTED.sub("''", _APOSTROPHE.sub("'", text[:_LONGEST]))
    return Refusal(message=message, wait=_asked(message))


def _retry_delay(value: Any) -> float | None:
    """Return the seconds of a `google.rpc.RetryInfo`: a protobuf Duration, "37s" or "34.4s"."""
    if isinstance(value, dict):
        seconds, nanos = value.get("seconds", 0), value.get("nanos", 0)
        try:
            return _sane(float(seconds) + float(nanos) / 1e9)
        except (TypeError, ValueError):
            return None
    if isinstance(value, str):
        try:
            return _sane(float(value.removesuffix("s")))
        except ValueError:
            return None
    return None


def _asked(message: str) -> float | None:
    match = _ASKED.search(message)
    found = {} if match is None else {unit: n for unit, n in match.groupdict().items() if n}
    return _sane(sum(float(n) * _UNITS[unit] for unit, n in found.items())) if found else None


def _sane(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
