"""The tools, the format, the reasoning and the sampling that a request asks for, read."""

from __future__ import annotations

from typing import Final, Literal, cast

import msgspec

from ...canonical.call import CanonicalCall, OutputFormat, Reasoning, Tool, ToolChoice
from ...canonical.fidelity import Fidelity
from ...canonical.own_tools.tool import OwnTool
from ...canonical.reading import Fields, is_true, items_of, member_text, number, text_of
from ...model_terms import Effort
from .json_schema import as_json_schema
from .members import listed, members_of

_Raw = msgspec.Raw
_LIST: Final = _Raw(b"[]")

# By the canonical name: what the API calls it in `generationConfig`.
_AS_IS: Final = {
    "max_tokens": "maxOutputTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "seed": "seed",
    "answers": "candidateCount",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
}
PATHS: Final = {
    **{name: f"generationConfig.{shown}" for name, shown in _AS_IS.items()},
    "stop": "generationConfig.stopSequences",
    "service_tier": "serviceTier",
    "parallel": "toolConfig",
}
_READ: Final = frozenset(
    {
        *_AS_IS.values(),
        *("stopSequences", "responseMimeType", "responseSchema", "responseJsonSchema"),
        *("thinkingConfig", "responseModalities"),
    }
)
# How media are read, and how much care is taken.
_HINTS: Final = frozenset({"mediaResolution", "audioTimestamp", "enableEnhancedCivicAnswers"})
_MODES: Final[dict[str, Literal["auto", "any", "none"]]] = {
    "AUTO": "auto",
    "ANY": "any",
    "NONE": "none",
    # Like AUTO, but what is called fits its schema.
    "VALIDATED": "auto",
    "MODE_UNSPECIFIED": "auto",
}
_DECLARATION: Final = frozenset({"name", "description", "parameters", "parametersJsonSchema"})
_EFFORTS: Final = frozenset({"minimal", "low", "medium", "high", "xhigh"})
_JSON: Final = "application/json"
_SEARCH: Final = "web_search"
_SEARCHES: Final = frozenset({"googleSearch", "googleSearchRetrieval", "enterpriseWebSearch"})


def read_tools(call: CanonicalCall, fields: Fields, fidelity: Fidelity) -> None:
    """Take the tools of a request, and which of them it wants called."""
    found: list[Tool] = []
    own: list[OwnTool] = []
    for number_, item in enumerate(listed(fields.get("tools", _LIST), "tools")):
        path = f"tools.{number_}"
        tool = members_of(item, path)
        # Search, code execution, maps: Google's servers run them.
        own += [
            OwnTool(_SEARCH if name in _SEARCHES else name, name, path)
            for name in sorted(tool.keys() - {"functionDeclarations"})
        ]
        declarations = tool.get("functionDeclarations", _LIST)
        for at, declaration in enumerate(listed(declarations, f"{path}.functionDeclarations")):
            found.append(_tool(declaration, f"{path}.functionDeclarations.{at}", fidelity))
    call.tools, call.own_tools = found, own
    config = members_of(fields.get("toolConfig", _Raw(b"{}")), "toolConfig")
    for name in sorted(config.keys() - {"functionCallingConfig"}):
        fidelity.hint(f"toolConfig.{name}")
    if "functionCallingConfig" in config:
        path = "toolConfig.functionCallingConfig"
        call.choice = _choice(members_of(config["functionCallingConfig"], path), path, fidelity)


def _tool(declaration: _Raw, path: str, fidelity: Fidelity) -> Tool:
    given = members_of(declaration, path)
    for name in sorted(given.keys() - _DECLARATION):
        fidelity.hint(f"{path}.{name}")
    schema = given.get("parametersJsonSchema")
    if schema is None and "parameters" in given:
        schema = as_json_schema(given["parameters"], f"{path}.parameters")
    return Tool(
        name=member_text(given, "name", path),
        description=member_text(given, "description", path, "") or None,
        schema=schema,
        path=path,
    )


def _choice(given: Fields, path: str, fidelity: Fidelity) -> ToolChoice | None:
    mode = member_text(given, "mode", path, "AUTO").upper()
    names = tuple(
        text_of(each, f"{path}.allowedFunctionNames")
        for each in items_of(given.get("allowedFunctionNames", _LIST), path)
    )
    if mode not in _MODES:
        fidelity.demand(f"{path}.mode", f"{mode} is unknown")
        return None
    if _MODES[mode] == "any" and len(names) == 1:
        return ToolChoice("tool", names)
    return ToolChoice(_MODES[mode], names)


def read_config(call: CanonicalCall, config: Fields, fidelity: Fidelity) -> None:
    """Take what a `generationConfig` says."""
    where = "generationConfig"
    for name in sorted(config.keys() - _READ):
        if name in _HINTS:
            fidelity.hint(f"{where}.{name}")
        else:
            fidelity.demand(f"{where}.{name}", "only Google's API has this member")
    for name, shown in _AS_IS.items():
        if shown in config:
            setattr(call, name, config[shown])
    stop = items_of(config.get("stopSequences", _LIST), f"{where}.stopSequences")
    call.stop = [text_of(each, f"{where}.stopSequences") for each in stop]
    for each in items_of(config.get("responseModalities", _LIST), f"{where}.responseModalities"):
        if (kind := text_of(each, f"{where}.responseModalities").upper()) != "TEXT":
            fidelity.demand(f"{where}.responseModalities", f"only Google answers with {kind}")
    call.format = _format(config, where, fidelity)
    if "thinkingConfig" in config:
        path = f"{where}.thinkingConfig"
        call.reasoning = _reasoning(members_of(config["thinkingConfig"], path), path)


def _format(config: Fields, where: str, fidelity: Fidelity) -> OutputFormat | None:
    kind = member_text(config, "responseMimeType", where, "")
    if kind == "text/x.enum":
        fidelity.demand(f"{where}.responseMimeType", "only Google's API answers with an enum")
        return None
    if "responseJsonSchema" in config:
        path = f"{where}.responseJsonSchema"
        return OutputFormat(schema=config["responseJsonSchema"], path=path)
    if "responseSchema" in config:
        path = f"{where}.responseSchema"
        return OutputFormat(schema=as_json_schema(config["responseSchema"], path), path=path)
    return OutputFormat(path=f"{where}.responseMimeType") if kind == _JSON else None


def _reasoning(given: Fields, path: str) -> Reasoning | None:
    level = member_text(given, "thinkingLevel", path, "").lower().removeprefix("thinking_level_")
    budget = None
    if "thinkingBudget" in given:
        budget = int(min(max(number(given["thinkingBudget"], path), -1), 1e9))
    shown = is_true(given.get("includeThoughts"))
    effort = cast("Effort", level) if level in _EFFORTS else None
    if effort is None and budget is None and not shown:
        return None
    # What it thinks is shown where that is asked for, and its budget may be left to the model.
    return Reasoning(
        effort=effort,
        budget=budget if budget is not None and budget > 0 else None,
        adaptive=effort is None and (budget is None or budget < 0),
        off=budget == 0,
        path=path,
        summary="auto" if shown else None,
        shown_by=f"{path}.includeThoughts" if shown else "",
    )


def hides_thoughts(body: bytes) -> bool:
    """Say whether a request that has been read before wants no thoughts to be shown."""
    if b"houghts" not in body:
        return False
    config = members_of(members_of(body, "").get("generationConfig", _Raw(b"{}")), "")
    thinking = members_of(config.get("thinkingConfig", _Raw(b"{}")), "")
    return bytes(thinking.get("includeThoughts", b"")) == b"false"
