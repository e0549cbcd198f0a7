"""A filter dislikes the content of the request, or of the answer to it."""

from __future__ import annotations

from typing import Final

from ...core.routing.causes import Cause
from ...core.routing.refusals import Mark
from .causes import AUTH, OF_REQUEST, any_of

_RULES: Final = (
    r"(usage|content|content safety|acceptable use|use|safety|moderation|guardrail|responsible ai) "
    r"(polic|guideline|practice)"
)
# Volcengine names what was found, and where.
_VOLCENGINE: Final = frozenset(
    f"{where}sensitivecontentdetected"
    for where in (
        *("", "inputtext", "inputimage", "inputvideo", "inputaudio"),
        *("outputtext", "outputimage", "outputvideo", "outputaudio"),
    )
)
_CODES: Final = _VOLCENGINE | {
    "content_policy_violation",  # OpenAI
    "moderation_blocked",  # OpenAI
    "cyber_policy",  # OpenAI
    "cyber_policy_violation",
    "content_filter",  # Azure, Moonshot
    "responsibleaipolicyviolation",  # Azure's inner error
    "flagged_input",  # OpenRouter
    "data_inspection_failed",  # DashScope: help.aliyun.com/zh/model-studio/error-code
    "datainspectionfailed",
    "ip_infringement_suspect",
    "prohibited_content",  # Gemini
    "guardrail_intervened",  # Bedrock
    "guardrail_violation",
    "content_moderation",
    "censorship_blocked",  # StepFun, 451
    "1301",  # Zhipu
}
_SAID_OF: Final = r"(input|prompt|content|message|request|output|response|image|text)s?"
_WORDS: Final = any_of(
    # The usage guidelines are xAI's, the usage policy OpenAI's, the practices Google's, the
    # acceptable use Anthropic's.
    rf"\bviolat(e|es|ed|ing|ion of) ([\w'-]+ ){{0,3}}?{_RULES}",
    r"\bfailed check: safety_check_type",  # xAI
    r"\bcontent management policy\b",  # Azure
    r"\bcontent exists risk\b",  # DeepSeek
    r"\bconsidered high risk\b",  # Moonshot
    r"\bmay contain (inappropriate content|sensitive information)\b",  # DashScope, Volcengine
    r"\bsuspected of (being involved in )?\w+ infringement\b",  # DashScope
    r"\bblocked by (our |the |your )?content filter",  # Anthropic, Bedrock
    r"\brejected (as a result of|by) (our|the) safety system\b",  # OpenAI
    r"\blimited access to this content for safety reasons\b",  # OpenAI
    r"\bflagged for possible cyber",  # OpenAI
    r"\b(safeguards|safety measures that) flagged this message\b",  # Anthropic
    r"\b(input|prompt) was flagged\b",  # OpenRouter
    r"\bprohibited[_ ]content\b",  # Gemini
    r"\bnew_sensitive\b",  # MiniMax
    r"\bguardrail was enabled and blocked\b|\bguardrail violation\b",  # Bedrock, others
    r"\bcontentpolicyviolationerror\b",  # LiteLLM
    "敏感内容|内容不合规|内容违规",  # Zhipu, Hunyuan
    # And what others are likely to say.
    rf"\b{_SAID_OF} ((was|were|is|has been|have been) )?"
    r"(flagged|blocked|filtered|rejected|refused|moderated)\b.{0,80}"
    r"(moderation|safety|content|polic|guardrail|sensitive|unsafe|harmful|recitation)",
)
CONTENT_POLICY: Final = tuple(
    Mark(Cause.CONTENT_POLICY, instead_of, statuses, _CODES, _WORDS.search)
    for instead_of, statuses in (
        (OF_REQUEST, frozenset[int]()),
        # xAI's and OpenRouter's 403 for content have nothing to do with the key.
        (AUTH, frozenset({402, 403})),
    )
)
