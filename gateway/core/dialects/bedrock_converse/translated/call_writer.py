"""A request in canonical form, written for Converse."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...base import ForeignRecipient
from ...canonical.call import CanonicalCall, Turn
from ...canonical.fidelity import Fidelity
from ...canonical.reading import number
from ...canonical.writing import leave_out, split_turns
from ..request import MODEL, STREAM
from .block_writer import BlockWriter
from .model_members import write_model_members
from .tool_config import write_tools

_ENCODE: Final = msgspec.json.Encoder().encode
_NAME: Final = msgspec.json.Decoder(str)
_MARK: Final = {"cachePoint": {"type": "default"}}
# docs.aws.amazon.com/bedrock, "Service tiers".
_TIERS: Final = {"priority": "priority", "flex": "flex", "default": "default"}
_HOTTEST: Final = 1.0


def write_call(
    call: CanonicalCall, recipient: ForeignRecipient, family: str, fidelity: Fidelity
) -> bytes:
    """Return the body of the request, with what stands in its path. Raises Untranslatable."""
    model = _NAME.decode(recipient.model_json)
    blocks = BlockWriter(family, fidelity)
    head, rest = split_turns(call.turns)
    body: dict[str, Any] = {MODEL: model, STREAM: call.stream}
    system = [each for turn in head for each in blocks.write(turn.blocks, turn.path)]
    if system:
        body["system"] = system
    body["messages"] = _messages(rest, blocks, fidelity)
    config = _inference(call, recipient, fidelity)
    limit = config.get("maxTokens")
    known = None if limit is None else int(number(limit, "maxTokens"))
    own = write_model_members(call, recipient, known, fidelity)
    if "thinking" in own and own["thinking"].get("type") != "disabled":
        _calm(config, call, fidelity)
    if config:
        body["inferenceConfig"] = config
    tools = write_tools(call, fidelity)
    if tools is not None:
        body["toolConfig"] = tools
    if own:
        body["additionalModelRequestFields"] = own
    _put_format(body, call, fidelity)
    _put_tier(body, call, fidelity)
    leave_out(call, fidelity, "Bedrock's")
    if call.user is not None:
        fidelity.hint(call.path("user"))
    if call.parallel is False and not call.tools:
        fidelity.hint(call.path("parallel_tool_calls"))
    if recipient.caches_prompts:
        _mark(body)
    return _ENCODE(body)


def _messages(turns: list[Turn], blocks: BlockWriter, fidelity: Fidelity) -> list[dict[str, Any]]:
    """Return the messages: of user and model in turns, as the API demands.

    Instructions within the conversation keep their place and are said by the user.
    """
    found: list[dict[str, Any]] = []
    for turn in turns:
        written = blocks.write(turn.blocks, turn.path)
        if not written:
            continue
        role = "assistant" if turn.role == "assistant" else "user"
        if turn.role in ("system", "developer"):
            fidelity.hint(f"{turn.path}.role")
        if found and found[-1]["role"] == role:
            found[-1]["content"] += written
        else:
            found.append({"role": role, "content": written})
    for message in found:
        # Results must stand before what else the user says.
        message["content"].sort(key=lambda each: "toolResult" not in each)
    if found and found[0]["role"] == "assistant":
        # "A conversation must start with a user message."
        found.insert(0, {"role": "user", "content": [{"text": "..."}]})
    return found


def _inference(
    call: CanonicalCall, recipient: ForeignRecipient, fidelity: Fidelity
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    limit, most = call.max_tokens, recipient.max_output_tokens
    if limit is not None:
        over = most is not None and number(limit, call.path("max_tokens")) > most
        found["maxTokens"] = msgspec.Raw(b"%d" % most) if over and most is not None else limit
    elif recipient.reasoning == "budget" and call.reasoning is not None:
        # A budget must stay below the limit, and the models' own defaults are small.
        found["maxTokens"] = msgspec.Raw(b"%d" % recipient.default_max_tokens)
    takes = recipient.terms.sampling
    for name, member in (("temperature", "temperature"), ("top_p", "topP")):
        value = getattr(call, name)
        if value is None:
            continue
        if takes == "none" or (takes == "one" and found.keys() & {"temperature"}):
            # "`temperature` and `top_p` cannot both be specified for this model."
            if bytes(value) not in (b"1", b"1.0"):
                fidelity.hint(call.path(name))
        elif name == "temperature" and number(value, call.path(name)) > _HOTTEST:
            fidelity.demand(call.path(name), "Bedrock takes 0 to 1")
        else:
            found[member] = value
    if call.stop:
        found["stopSequences"] = call.stop
    return found


def _calm(config: dict[str, Any], call: CanonicalCall, fidelity: Fidelity) -> None:
    """Take out what Anthropic's models refuse while they think: "temperature may only be 1"."""
    for member, name in (("temperature", "temperature"), ("topP", "top_p")):
        value = config.pop(member, None)
        if value is not None and bytes(value) not in (b"1", b"1.0"):
            fidelity.hint(call.path(name))


def _put_format(body: dict[str, Any], call: CanonicalCall, fidelity: Fidelity) -> None:
    format_ = call.format
    if format_ is None:
        return
    if format_.schema is None:
        fidelity.demand(format_.path, "Bedrock's API wants a schema for its JSON")
        return
    schema = {"schema": bytes(format_.schema).decode(), "name": format_.name}
    body["outputConfig"] = {
        "textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}
    }


def _put_tier(body: dict[str, Any], call: CanonicalCall, fidelity: Fidelity) -> None:
    tier = call.service_tier
    if tier in _TIERS:
        body["serviceTier"] = {"type": _TIERS[tier]}
    elif tier not in (None, "auto"):
        fidelity.hint(call.path("service_tier"))


def _mark(body: dict[str, Any]) -> None:
    """Set cache points behind tools, instructions and the two latest messages of the user.

    For callers whose API has no way to set them, as `cache_marks.py` of Messages explains.
    """
    system, messages = body.get("system", []), body["messages"]
    tools = body.get("toolConfig", {}).get("tools", [])
    places = [tools, system, *(each["content"] for each in messages if each["role"] == "user")]
    if any("cachePoint" in block for place in places for block in place):
        return
    for place in (tools, system, *places[2:][-2:]):
        if place:
            place.append(_MARK)
