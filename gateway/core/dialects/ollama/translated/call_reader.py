"""A request in Ollama's API, read (docs/api.md; api/types.go, `ChatRequest`, `GenerateRequest`)."""

from __future__ import annotations

from typing import Final, cast

import msgspec

from .....errors import InvalidRequest
from ...canonical.call import (
    Block,
    CanonicalCall,
    OutputFormat,
    Reasoning,
    Text,
    Turn,
)
from ...canonical.fidelity import Fidelity
from ...canonical.reading import (
    Fields,
    fields_of,
    is_text,
    is_true,
    items_of,
    member_text,
    number,
    text_of,
)
from ...canonical.tools import read_functions
from ...model_terms import Effort
from .message_reader import MessageReader, images_of

_Raw = msgspec.Raw

_KNOWN: Final = frozenset(
    {
        *("model", "messages", "prompt", "system", "images", "stream", "tools", "format"),
        *("options", "think", "keep_alive", "logprobs", "top_logprobs"),
    }
)
# How long a model stays in memory, and how a server without one does its work.
_HINTS: Final = frozenset({"keep_alive"})
_NOTHING: Final = frozenset({b"false", b'""', b"[]", b"{}", b"0"})
_SAMPLING: Final = (
    *("temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty"),
)
_READ_OPTIONS: Final = frozenset({*_SAMPLING, "num_predict", "stop"})
# What changes the answer, and no other API has.
_DECIDING: Final = frozenset({"min_p", "typical_p", "repeat_penalty", "mirostat", "tfs_z"})
# What they are where nothing is changed (docs/modelfile.md).
_USUAL: Final = {
    "min_p": (b"0", b"0.0"),
    "typical_p": (b"1", b"1.0"),
    "repeat_penalty": (b"1", b"1.0", b"1.1"),
    "mirostat": (b"0",),
    "tfs_z": (b"1", b"1.0"),
}
_PATHS: Final = {
    "max_tokens": "options.num_predict",
    "stop": "options.stop",
    **{name: f"options.{name}" for name in _SAMPLING},
}


def read_call(body: bytes, fidelity: Fidelity, *, generate: bool) -> CanonicalCall:
    """Return the request in `body`. Raises InvalidRequest (400) and Untranslatable."""
    fields = fields_of(body, "")
    for name in sorted(fields.keys() - _KNOWN):
        if bytes(fields[name]) not in _NOTHING:
            fidelity.demand(name, "the API of this model's provider has nothing like it")
    for name in sorted(_HINTS & fields.keys()):
        fidelity.hint(name)
    options = fields_of(fields.get("options", _Raw(b"{}")), "options")
    for name in sorted(options.keys() - _READ_OPTIONS):
        if name in _DECIDING and bytes(options[name]) not in _USUAL[name]:
            fidelity.demand(f"options.{name}", "the API of this model's provider has no such thing")
        else:
            fidelity.hint(f"options.{name}")
    return CanonicalCall(
        turns=_prompt(fields) if generate else _messages(fields, fidelity),
        stream=bytes(fields.get("stream", b"true")) == b"true",
        tools=read_functions(fields),
        format=_format(fields),
        reasoning=_reasoning(fields),
        max_tokens=_limit(options),
        temperature=options.get("temperature"),
        top_p=options.get("top_p"),
        top_k=options.get("top_k"),
        seed=options.get("seed"),
        presence_penalty=options.get("presence_penalty"),
        frequency_penalty=options.get("frequency_penalty"),
        stop=_stop(options),
        logprobs=fields.get("logprobs"),
        top_logprobs=fields.get("top_logprobs"),
        paths=_PATHS,
    )


def _messages(fields: Fields, fidelity: Fidelity) -> list[Turn]:
    found = MessageReader(fidelity).read(fields.get("messages", _Raw(b"[]")))
    if not found:
        raise InvalidRequest("you must provide messages", param="messages")
    return found


def _prompt(fields: Fields) -> list[Turn]:
    system = member_text(fields, "system", "", "")
    prompt = member_text(fields, "prompt", "", "")
    blocks: list[Block] = [Text(prompt)] if prompt else []
    blocks += images_of(fields, "")
    if not blocks:
        raise InvalidRequest("you must provide a prompt", param="prompt")
    found = [Turn("user", blocks, path="prompt")]
    return [Turn("system", [Text(system)], head=True, path="system"), *found] if system else found


def _format(fields: Fields) -> OutputFormat | None:
    raw = fields.get("format")
    if raw is None or bytes(raw) == b'""':
        return None
    if not is_text(raw):
        fields_of(raw, "format")
        return OutputFormat(schema=raw, path="format")
    word = text_of(raw, "format")
    if word != "json":
        raise InvalidRequest('format must be "json" or a schema', param="format")
    return OutputFormat(path="format")


def _reasoning(fields: Fields) -> Reasoning | None:
    raw = fields.get("think")
    if raw is None or bytes(raw) == b'""':
        return None
    if is_text(raw):
        word = text_of(raw, "think")
        if word not in ("low", "medium", "high"):
            raise InvalidRequest('think must be true, false, "low", "medium" or "high"')
        return Reasoning(effort=cast("Effort", word), path="think", summary="auto")
    thinks = is_true(raw)
    # What it thinks is a part of the answer.
    return Reasoning(off=not thinks, path="think", summary="auto" if thinks else None)


def _limit(options: Fields) -> _Raw | None:
    raw = options.get("num_predict")
    # -1 and -2: for as long as it likes.
    return raw if raw is not None and number(raw, "options.num_predict") > 0 else None


def _stop(options: Fields) -> list[str]:
    raw = options.get("stop")
    if raw is None:
        return []
    given = [raw] if is_text(raw) else items_of(raw, "options.stop")
    return [text_of(each, "options.stop") for each in given]
