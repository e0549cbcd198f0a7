"""What a request says in members of the model's own, `additionalModelRequestFields`.

Anthropic   thinking, output_config.effort, top_k          docs.anthropic.com, as in Messages
Amazon      reasoningConfig, inferenceConfig.topK          docs.aws.amazon.com/nova
OpenAI      reasoning_effort                               docs.aws.amazon.com/bedrock, "OpenAI"
"""

from __future__ import annotations

import re
from typing import Any, Final, cast

import msgspec

from ...base import ForeignRecipient
from ...canonical.call import CanonicalCall, Reasoning
from ...canonical.fidelity import Fidelity
from ...canonical.reading import Fields, fields_of, member_text, number
from ...canonical.writing import goes_on_unthought
from ...model_terms import Effort

_Raw = msgspec.Raw
# The family of signatures of Anthropic's models, the same wherever these run (docs.anthropic.com,
# "Extended thinking", "Differences across platforms").
ANTHROPIC: Final = "anthropic_messages"
_NAME: Final = "additionalModelRequestFields"
_EFFORTS: Final = frozenset({"minimal", "low", "medium", "high", "xhigh", "max"})
_KNOWN: Final = frozenset(
    {
        *("thinking", "reasoning_config", "reasoningConfig", "reasoning_effort", "output_config"),
        *("top_k", "topK", "inferenceConfig", "anthropic_beta"),
    }
)
_NOVA: Final = re.compile(rb"amazon\.nova")
# The smallest budget of thinking, and what stands for an effort (docs.anthropic.com, "Extended
# thinking").
_LEAST_BUDGET: Final = 1024
_BUDGETS: Final = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384}
_MOST_BUDGET: Final = 32000
# Nova's efforts.
_NOVA_EFFORTS: Final = {"minimal": "low", "xhigh": "high", "max": "high"}


class ModelMembers(msgspec.Struct, frozen=True):
    """What was read of them."""

    reasoning: Reasoning | None = None
    top_k: msgspec.Raw | None = None


def read_model_members(fields: Fields, fidelity: Fidelity) -> ModelMembers:
    """Return what a request says in them. Raises Untranslatable."""
    own = fields_of(fields.get(_NAME, _Raw(b"{}")), _NAME)
    for name in sorted(own.keys() - _KNOWN):
        fidelity.demand(f"{_NAME}.{name}", "it is a member of one provider's model")
    if "anthropic_beta" in own:
        fidelity.hint(f"{_NAME}.anthropic_beta")
    inner = fields_of(own.get("inferenceConfig", _Raw(b"{}")), f"{_NAME}.inferenceConfig")
    top_k = own.get("top_k") or own.get("topK") or inner.get("topK")
    return ModelMembers(_reasoning(fields, own), top_k)


def _reasoning(fields: Fields, own: Fields) -> Reasoning | None:
    config = fields_of(own.get("output_config", _Raw(b"{}")), f"{_NAME}.output_config")
    outer = fields_of(fields.get("outputConfig", _Raw(b"{}")), "outputConfig")
    effort = (
        member_text(config, "effort", _NAME, "")
        or member_text(outer, "effort", "outputConfig", "")
        or member_text(own, "reasoning_effort", _NAME, "")
    )
    for name in ("thinking", "reasoning_config", "reasoningConfig"):
        if name in own:
            path = f"{_NAME}.{name}"
            return _asked(fields_of(own[name], path), path, effort)
    if effort in _EFFORTS:
        return Reasoning(effort=cast("Effort", effort), path=f"{_NAME}.reasoning_effort")
    return None


def _asked(thinking: Fields, path: str, effort: str) -> Reasoning:
    kind = member_text(thinking, "type", path, "enabled")
    effort = effort or member_text(thinking, "maxReasoningEffort", path, "")
    budget = None
    if "budget_tokens" in thinking:
        budget = int(min(max(number(thinking["budget_tokens"], f"{path}.budget_tokens"), 0), 1e9))
    return Reasoning(
        effort=cast("Effort", effort) if effort in _EFFORTS else None,
        budget=budget,
        adaptive=kind == "adaptive",
        off=kind == "disabled",
        path=path,
        # What it thinks is a part of the answer.
        summary=None if kind == "disabled" else "auto",
    )


def write_model_members(
    call: CanonicalCall, recipient: ForeignRecipient, limit: int | None, fidelity: Fidelity
) -> dict[str, Any]:
    """Return the members by which a model is told what Converse has no member for.

    `limit` is the tokens of its answer, None if that is not said.
    """
    form = recipient.reasoning
    nova = _NOVA.search(recipient.model_json) is not None
    found = _asked_to_reason(call, recipient, limit, fidelity, nova=nova)
    if call.top_k is not None:
        if "thinking" in found:
            # "top_k may not be set when thinking is enabled."
            fidelity.hint(call.path("top_k"))
        elif nova:
            found["inferenceConfig"] = {"topK": call.top_k}
        else:
            found["top_k"] = call.top_k
    if call.parallel is False and call.tools and form in ("budget", "adaptive"):
        kind = "auto" if call.choice is None else call.choice.mode
        choice: dict[str, Any] = {"type": kind, "disable_parallel_tool_use": True}
        if call.choice is not None and call.choice.mode == "tool":
            choice["name"] = call.choice.names[0]
        found["tool_choice"] = choice
    return found


def _asked_to_reason(
    call: CanonicalCall,
    recipient: ForeignRecipient,
    limit: int | None,
    fidelity: Fidelity,
    *,
    nova: bool,
) -> dict[str, Any]:
    asked, form = call.reasoning, recipient.reasoning
    if asked is None:
        return {}
    forced = call.choice is not None and call.choice.mode in ("any", "tool")
    off = asked.off or asked.effort == "none"
    if form == "none" or (forced and not off and form != "effort"):
        if not off:
            fidelity.hint(asked.path)
        return {}
    if form == "budget" and not off and goes_on_unthought(call.turns, ANTHROPIC):
        fidelity.hint(asked.path)
        return {}
    if form == "effort":
        return _effort(asked, off=off, nova=nova)
    return _thinking(asked, recipient, limit, fidelity, off=off)


def _thinking(
    asked: Reasoning,
    recipient: ForeignRecipient,
    limit: int | None,
    fidelity: Fidelity,
    *,
    off: bool,
) -> dict[str, Any]:
    if off:
        return {"thinking": {"type": "disabled"}}
    if recipient.reasoning == "adaptive":
        effort = asked.effort
        output: dict[str, Any] = {}
        if effort is not None:
            output = {"output_config": {"effort": recipient.terms.effort(effort)}}
        return {"thinking": {"type": "adaptive"}, **output}
    budget = asked.budget or _BUDGETS.get(asked.effort or "medium", _MOST_BUDGET)
    budget = budget if limit is None else min(budget, limit - 1)
    if budget < _LEAST_BUDGET:
        fidelity.hint(asked.path)
        return {}
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def _effort(asked: Reasoning, *, off: bool, nova: bool) -> dict[str, Any]:
    effort = asked.effort or "medium"
    if nova:
        if off:
            return {"reasoningConfig": {"type": "disabled"}}
        effort_ = _NOVA_EFFORTS.get(effort, effort)
        return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort_}}
    # gpt-oss thinks always; low is the least of it.
    return {"reasoning_effort": "low" if off or effort == "minimal" else effort}
