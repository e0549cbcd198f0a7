"""A chat in Cohere's API, read into canonical form (`v2/raw_client.py`, `chat`)."""

from __future__ import annotations

from typing import Final

import msgspec

from .....errors import InvalidRequest
from ...canonical.call import CanonicalCall, OutputFormat, Reasoning, Tool, ToolChoice, Turn
from ...canonical.fidelity import Fidelity
from ...canonical.reading import Fields, fields_of, is_true, items_of, member_text, number, text_of
from ...canonical.tools import read_functions
from .documents import read_documents
from .message_reader import read_messages

_Raw = msgspec.Raw

_KNOWN: Final = frozenset(
    {
        *("model", "stream", "messages", "tools", "strict_tools", "tool_choice", "documents"),
        *("citation_options", "response_format", "max_tokens", "stop_sequences", "temperature"),
        *("seed", "frequency_penalty", "presence_penalty", "k", "p", "logprobs", "thinking"),
    }
)
# Harmless: how early the request is handled, and which instructions of Cohere's own for safety
# stand before the prompt.
_HINTS: Final = frozenset({"priority", "safety_mode"})
_NOTHING: Final = frozenset({b"false", b'""', b"[]", b"{}"})
_USUAL: Final = frozenset({b'"CONTEXTUAL"', b"0"})
_PATHS: Final = {
    "stop": "stop_sequences",
    "top_k": "k",
    "top_p": "p",
}


def read_call(body: bytes, fidelity: Fidelity) -> CanonicalCall:
    """Return the request in `body`. Raises InvalidRequest (400) and Untranslatable."""
    fields = fields_of(body, "")
    for name in sorted(fields.keys() - _KNOWN):
        if name in _HINTS:
            if bytes(fields[name]) not in _USUAL:
                fidelity.hint(name)
        elif bytes(fields[name]) not in _NOTHING:
            fidelity.demand(name, "only Cohere's API has this member")
    if is_true(fields.get("logprobs")):
        fidelity.demand("logprobs", "other APIs tell them by token, and have no ids of tokens")
    return CanonicalCall(
        turns=_turns(fields, fidelity),
        stream=is_true(fields.get("stream")),
        tools=_tools(fields),
        choice=_choice(fields, fidelity),
        format=_format(fields, fidelity),
        reasoning=_reasoning(fields),
        max_tokens=fields.get("max_tokens"),
        temperature=fields.get("temperature"),
        top_p=fields.get("p"),
        top_k=_top_k(fields),
        presence_penalty=fields.get("presence_penalty"),
        frequency_penalty=fields.get("frequency_penalty"),
        seed=fields.get("seed"),
        stop=[
            text_of(each, f"stop_sequences.{n}")
            for n, each in enumerate(items_of(fields.get("stop_sequences", _Raw(b"[]")), "stop"))
        ],
        paths=_PATHS,
    )


def _turns(fields: Fields, fidelity: Fidelity) -> list[Turn]:
    found = read_messages(fields.get("messages", _Raw(b"[]")), fidelity)
    if not found:
        raise InvalidRequest("invalid request: messages must not be empty", param="messages")
    documents = read_documents(fields)
    if documents:
        # They belong to the question, which is the user's last turn.
        asked = next((turn for turn in reversed(found) if turn.role == "user"), None)
        if asked is None:
            asked = Turn("user", [], path="documents")
            found.append(asked)
        asked.blocks = [*documents, *asked.blocks]
    return found


def _tools(fields: Fields) -> list[Tool]:
    strict = True if is_true(fields.get("strict_tools")) else None
    return read_functions(fields, strict=strict)


def _choice(fields: Fields, fidelity: Fidelity) -> ToolChoice | None:
    word = member_text(fields, "tool_choice", "", "").upper()
    if word in ("", "AUTO"):
        return None
    if word in ("REQUIRED", "NONE"):
        return ToolChoice("any" if word == "REQUIRED" else "none")
    fidelity.demand("tool_choice", f"{word!r} is unknown")
    return None


def _format(fields: Fields, fidelity: Fidelity) -> OutputFormat | None:
    path = "response_format"
    if path not in fields:
        return None
    found = fields_of(fields[path], path)
    kind = member_text(found, "type", path)
    if kind == "text":
        return None
    if kind != "json_object":
        fidelity.demand(path, f"{kind} cannot be translated")
        return None
    # `schema` is what it was called first (docs.cohere.com, "Structured Outputs").
    schema = found.get("json_schema", found.get("schema"))
    return OutputFormat(schema=schema, path=path)


def _reasoning(fields: Fields) -> Reasoning | None:
    path = "thinking"
    if path not in fields:
        return None
    found = fields_of(fields[path], path)
    budget = found.get("token_budget")
    off = member_text(found, "type", path, "enabled") == "disabled"
    return Reasoning(
        budget=None if budget is None else int(min(max(number(budget, path), 0), 1e9)),
        off=off,
        path=path,
        # What it thinks is a part of the answer.
        summary=None if off else "auto",
    )


def _top_k(fields: Fields) -> _Raw | None:
    raw = fields.get("k")
    # Zero is all of them.
    return raw if raw is not None and number(raw, "k") > 0 else None
