"""A request of Converse, read into canonical form."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from .....errors import InvalidRequest
from ...canonical.call import CanonicalCall, OutputFormat, Tool, ToolChoice, Turn
from ...canonical.fidelity import Fidelity
from ...canonical.reading import Fields, fields_of, items_of, member_text, text_of
from .block_reader import read_blocks
from .model_members import read_model_members

_Raw = msgspec.Raw
_KNOWN: Final = frozenset(
    {
        *("modelId", "stream", "messages", "system", "inferenceConfig", "toolConfig"),
        *("additionalModelRequestFields", "outputConfig", "serviceTier"),
    }
)
# Harmless: without them the answer is the same, or only slower, or it says less beside the answer.
_HINTS: Final = frozenset(
    {
        *("requestMetadata", "performanceConfig", "additionalModelResponseFieldPaths"),
        *("projectIdentifier",),
    }
)
_ROLES: Final[dict[str, Literal["user", "assistant", "system"]]] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
}
_MODES: Final[dict[str, Literal["auto", "any"]]] = {"auto": "auto", "any": "any"}
_PATHS: Final = {
    "max_tokens": "inferenceConfig.maxTokens",
    "temperature": "inferenceConfig.temperature",
    "top_p": "inferenceConfig.topP",
    "stop": "inferenceConfig.stopSequences",
    "top_k": "additionalModelRequestFields.top_k",
    "service_tier": "serviceTier",
}
_TIERS: Final = {"priority": "priority", "flex": "flex", "default": "default"}


def read_call(body: bytes, *, stream: bool, fidelity: Fidelity) -> CanonicalCall:
    """Return the request in `body`. Raises InvalidRequest (400) and Untranslatable."""
    fields = fields_of(body, "")
    for name in sorted(fields.keys() - _KNOWN):
        if name in _HINTS:
            fidelity.hint(name)
        else:
            fidelity.demand(name, "only Bedrock's API has this member")
    config = fields_of(fields.get("inferenceConfig", _Raw(b"{}")), "inferenceConfig")
    own = read_model_members(fields, fidelity)
    tools, choice = _tools(fields, fidelity)
    stops = items_of(config.get("stopSequences", _Raw(b"[]")), _PATHS["stop"])
    return CanonicalCall(
        turns=_system(fields, fidelity) + _turns(fields, fidelity),
        stream=stream,
        tools=tools,
        choice=choice,
        format=_format(fields),
        reasoning=own.reasoning,
        max_tokens=config.get("maxTokens"),
        temperature=config.get("temperature"),
        top_p=config.get("topP"),
        top_k=own.top_k,
        stop=[text_of(each, f"{_PATHS['stop']}.{n}") for n, each in enumerate(stops)],
        service_tier=_tier(fields),
        paths=_PATHS,
    )


def _system(fields: Fields, fidelity: Fidelity) -> list[Turn]:
    blocks = read_blocks(fields.get("system", _Raw(b"[]")), "system", fidelity)
    return [Turn("system", blocks, head=True, path="system")] if blocks else []


def _turns(fields: Fields, fidelity: Fidelity) -> list[Turn]:
    if "messages" not in fields:
        raise InvalidRequest("messages is missing", param="messages")
    found = []
    for number, item in enumerate(items_of(fields["messages"], "messages")):
        path = f"messages.{number}"
        message = fields_of(item, path)
        role = _ROLES.get(member_text(message, "role", path))
        if role is None:
            raise InvalidRequest(f"{path}.role must be user or assistant", param=f"{path}.role")
        content = message.get("content", _Raw(b"[]"))
        blocks = read_blocks(content, f"{path}.content", fidelity)
        found.append(Turn(role, blocks, path=path))
    return found


def _tools(fields: Fields, fidelity: Fidelity) -> tuple[list[Tool], ToolChoice | None]:
    config = fields_of(fields.get("toolConfig", _Raw(b"{}")), "toolConfig")
    found: list[Tool] = []
    for number, item in enumerate(items_of(config.get("tools", _Raw(b"[]")), "toolConfig.tools")):
        path = f"toolConfig.tools.{number}"
        each = fields_of(item, path)
        if "cachePoint" in each:
            if found:
                found[-1].cache = _Raw(b'{"type":"ephemeral"}')
            continue
        if "toolSpec" not in each:
            fidelity.demand(path, "only Bedrock has this tool")
            continue
        found.append(_tool(fields_of(each["toolSpec"], path), f"{path}.toolSpec"))
    return found, _choice(config, fidelity)


def _tool(spec: Fields, path: str) -> Tool:
    schema = fields_of(spec.get("inputSchema", _Raw(b"{}")), f"{path}.inputSchema")
    return Tool(
        name=member_text(spec, "name", path),
        description=member_text(spec, "description", path, "") or None,
        schema=schema.get("json"),
        strict=bytes(spec["strict"]) == b"true" if "strict" in spec else None,
        path=path,
    )


def _choice(config: Fields, fidelity: Fidelity) -> ToolChoice | None:
    path = "toolConfig.toolChoice"
    if "toolChoice" not in config:
        return None
    found = fields_of(config["toolChoice"], path)
    if "tool" in found:
        name = member_text(fields_of(found["tool"], path), "name", f"{path}.tool")
        return ToolChoice("tool", (name,))
    for name, mode in _MODES.items():
        if name in found:
            return ToolChoice(mode)
    fidelity.demand(path, "this choice is unknown")
    return None


def _format(fields: Fields) -> OutputFormat | None:
    path = "outputConfig.textFormat"
    config = fields_of(fields.get("outputConfig", _Raw(b"{}")), "outputConfig")
    if "textFormat" not in config:
        return None
    structure = fields_of(
        fields_of(config["textFormat"], path).get("structure", _Raw(b"{}")), f"{path}.structure"
    )
    where = f"{path}.structure.jsonSchema"
    schema = fields_of(structure.get("jsonSchema", _Raw(b"{}")), where)
    # A schema is a text here, which has to be JSON itself.
    text = member_text(schema, "schema", where, "")
    try:
        msgspec.json.decode(text, type=dict[str, _Raw])
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as exc:
        raise InvalidRequest(f"{where}.schema must be a JSON object", param=where) from exc
    name = member_text(schema, "name", where, "") or "response"
    return OutputFormat(schema=_Raw(text.encode()), name=name, path=path)


def _tier(fields: Fields) -> str | None:
    if "serviceTier" not in fields:
        return None
    kind = member_text(fields_of(fields["serviceTier"], "serviceTier"), "type", "serviceTier")
    return _TIERS.get(kind, kind)
