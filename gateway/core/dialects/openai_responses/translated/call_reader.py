"""A request for a response, read (openai-python `types/responses/response_create_params.py`)."""

from __future__ import annotations

from typing import Final

import msgspec

from .....errors import InvalidRequest
from ...canonical.call import CanonicalCall, Text, Turn
from ...canonical.fidelity import Fidelity, Untranslatable
from ...canonical.own_tools.tool import OwnTool
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
from .item_reader import KEPT, ItemReader
from .option_reader import read_choice, read_format, read_reasoning, read_tools

_Raw = msgspec.Raw

# Read here or by the caller's own reader.
_KNOWN: Final = frozenset(
    {
        *("model", "input", "instructions", "stream", "stream_options", "tools", "tool_choice"),
        *("parallel_tool_calls", "text", "reasoning", "max_output_tokens", "temperature", "top_p"),
        *("top_logprobs", "user", "safety_identifier", "metadata", "service_tier", "include"),
        *("prompt_cache_key", "prompt_cache_retention", "truncation", "store", "background"),
        *("previous_response_id", "conversation", "max_tool_calls"),
    }
)
# Harmless: books of clients, hints for caches, bounds of tools that only OpenAI runs, and how to
# make room in its own window.
_HINTS: Final = frozenset(
    {
        *("client_metadata", "prompt_cache_options", "context_management"),
        *("image", "access_programs", "background_options"),
    }
)
# Members that ask for nothing with these values, as some clients send them all.
_NOTHING: Final = {
    "frequency_penalty": frozenset({b"0", b"0.0"}),
    "presence_penalty": frozenset({b"0", b"0.0"}),
}
_REASONING: Final = "reasoning.encrypted_content"
LOGPROBS: Final = "message.output_text.logprobs"
_PATHS: Final = {
    "max_tokens": "max_output_tokens",
    "parallel": "parallel_tool_calls",
    "format": "text.format",
    "cache_key": "prompt_cache_key",
    "cache_retention": "prompt_cache_retention",
    "safety_id": "safety_identifier",
    "verbosity": "text.verbosity",
    "logprobs": f"include ({LOGPROBS})",
}


def read_call(body: bytes, fidelity: Fidelity, *, kept: bool = False) -> CanonicalCall:
    """Return the request in `body`, whose answer may be `kept` by the gateway.

    Raises InvalidRequest (400) and Untranslatable.
    """
    fields = fields_of(body, "")
    _check_kept(fields)
    if is_true(fields.get("store")) and not kept:
        fidelity.hint("store")
    for name in sorted(fields.keys() - _KNOWN):
        if name in _HINTS:
            fidelity.hint(name)
        elif bytes(fields[name]) not in _NOTHING.get(name, ()):
            fidelity.demand(name, "only OpenAI's Responses have this member")
    if "input" not in fields:
        raise InvalidRequest("you must provide an input", param="input")
    items = ItemReader(fidelity)
    turns = _instructions(fields) + items.read(fields["input"])
    text = fields_of(fields.get("text", _Raw(b"{}")), "text")
    for name in sorted(text.keys() - {"format", "verbosity"}):
        fidelity.demand(f"text.{name}", "only OpenAI's Responses have this member")
    reasoning = fields_of(fields.get("reasoning", _Raw(b"{}")), "reasoning")
    for name in sorted(reasoning.keys() - {"effort", "summary", "generate_summary"}):
        # How much of earlier reasoning is looked at (`context`), and how (`mode`).
        fidelity.hint(f"reasoning.{name}")
    likely = _include(fields, fidelity)
    parallel = fields.get("parallel_tool_calls")
    tools, own_tools = read_tools(fields.get("tools", _Raw(b"[]")), "tools", fidelity)
    own_tools = items.own_tools + own_tools
    _limit_own_tools(fields, own_tools, fidelity)
    return CanonicalCall(
        turns=turns,
        stream=is_true(fields.get("stream")),
        tools=items.tools + tools,
        own_tools=own_tools,
        choice=read_choice(fields, fidelity),
        parallel=None if parallel is None else is_true(parallel),
        format=read_format(text, fidelity),
        reasoning=read_reasoning(fields),
        logprobs=_Raw(b"true") if likely else None,
        top_logprobs=fields.get("top_logprobs") if likely else None,
        max_tokens=fields.get("max_output_tokens"),
        temperature=fields.get("temperature"),
        top_p=fields.get("top_p"),
        user=member_text(fields, "user", "", "") or None,
        safety_id=member_text(fields, "safety_identifier", "", "") or None,
        metadata=fields.get("metadata"),
        service_tier=member_text(fields, "service_tier", "", "") or None,
        cache_key=member_text(fields, "prompt_cache_key", "", "") or None,
        cache_retention=member_text(fields, "prompt_cache_retention", "", "") or None,
        verbosity=member_text(text, "verbosity", "text", "") or None,
        paths=_PATHS,
    )


def _limit_own_tools(fields: Fields, tools: list[OwnTool], fidelity: Fidelity) -> None:
    """Bound how often the web is searched, as the API bounds all calls of OpenAI's own tools."""
    if "max_tool_calls" not in fields:
        return
    searches = [tool for tool in tools if tool.searches]
    for tool in searches:
        tool.max_uses = fields["max_tool_calls"]
    if not searches:
        fidelity.hint("max_tool_calls")


def _check_kept(fields: Fields) -> None:
    """Refuse what goes on from something that another keeps, whatever else may be left out."""
    for name in ("previous_response_id", "conversation"):
        if name in fields:
            raise Untranslatable(name, KEPT)
    if is_true(fields.get("background")):
        raise Untranslatable("background", "only OpenAI makes responses in the background")


def _instructions(fields: Fields) -> list[Turn]:
    if "instructions" not in fields:
        return []
    path = "instructions"
    raw = fields[path]
    if is_text(raw):
        text = text_of(raw, path)
        return [Turn("system", [Text(text)], head=True, path=path)] if text else []
    raise InvalidRequest("instructions must be a string", param=path)


def _include(fields: Fields, fidelity: Fidelity) -> bool:
    """List what is included of OpenAI's own; say whether log probabilities are asked for."""
    likely = False
    if fields.get("truncation") is not None and text_of(fields["truncation"], "truncation") != (
        "disabled"
    ):
        # Without it a prompt that is too long is refused.
        fidelity.hint("truncation")
    for raw in items_of(fields.get("include", _Raw(b"[]")), "include"):
        name = text_of(raw, "include")
        if name not in (_REASONING, LOGPROBS):
            # What OpenAI's own tools have found: they are none of this request's.
            fidelity.hint(f"include ({name})")
        likely = likely or name == LOGPROBS
    if not likely and "top_logprobs" in fields and number(fields["top_logprobs"], "top_logprobs"):
        # They are not shown without that.
        fidelity.hint("top_logprobs")
    return likely
