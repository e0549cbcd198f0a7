"""How each kind of provider says no: its statuses, its codes and words, and what they mean.

A word counts only with its source; `core/routing/refusals.py` says how a table is read. Sources
without an address are error texts as their users reported them (GitHub, 2024 to 2026): few
providers document them. One kind, `openai`, is any server that speaks OpenAI's API, so its table
has the words of all of them, and of what they relay.
"""

from __future__ import annotations

import re
from typing import Final

from ..core.routing.causes import Cause
from ..core.routing.refusals import Mark, RefusalTable
from .refusal_body import read_refusal

# Beside the classes: 4xx is a refusal of the request, 5xx a failure of the provider.
STATUSES: Final = {
    401: Cause.AUTH_FAILED,
    402: Cause.AUTH_FAILED,  # DeepSeek, OpenRouter: our balance there is spent
    403: Cause.AUTH_FAILED,
    407: Cause.PROTOCOL_VIOLATION,
    408: Cause.SERVER_ERROR,
    429: Cause.RATE_LIMITED,
}

_LIMITED: Final = frozenset({Cause.RATE_LIMITED})
_AUTH: Final = frozenset({Cause.AUTH_FAILED})
_REJECTED: Final = frozenset({Cause.REJECTED})
_BROKEN: Final = frozenset({Cause.SERVER_ERROR, Cause.STREAM_ERROR})
# What is wrong with a request may be said with 400, with 500 (llama.cpp), or within a 200.
_OF_REQUEST: Final = _REJECTED | _BROKEN


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


# The account or its key...

# OpenAI says 429 for that too (its error codes guide), but no wait cures it.
QUOTA: Final = Mark(
    Cause.AUTH_FAILED,
    _LIMITED,
    codes=frozenset({"insufficient_quota", "billing_not_active", "insufficient_balance"}),
)
_ACCOUNT_CODES: Final = frozenset(
    {
        "insufficient_quota",
        "insufficient_balance",
        "insufficient_credits",
        "billing_not_active",
        "billing_hard_limit_reached",  # OpenAI, with 400
        "account_deactivated",
        "access_terminated",
        "unsupported_country_region_territory",  # OpenAI, 403: where we are
        "invalid_api_key",
        "api_key_invalid",  # Gemini, with 400
        "arrearage",  # DashScope, with 400
        "accessdenied.unpurchased",  # DashScope, 403
        "personal-team-blocked:spending-limit",  # xAI
    }
)
# Each at the start of the message: what a caller wrote is never there.
_ACCOUNT_WORDS: Final = _any(
    r"^insufficient (usd|account|credit|user)?.{0,12}(balance|credits?|funds|quota)",  # DeepSeek
    r"^(this )?(api )?key (limit exceeded|is disabled|is currently blocked)",  # OpenRouter, xAI
    r"^(incorrect api key provided|api key (not valid|expired))",  # xAI, Gemini: with 400
    r"^your (newly created )?team\b.{0,80}\b(credits|licenses|spending limit)",  # xAI
    r"^(your |this )?(account|organization|access|workspace)\b.{0,40}"
    r"\b(deactivated|disabled|suspended|terminated|banned|in good standing|overdue)",
    r"^this request requires more credits\b.{0,120}\bcan only afford 0\b",  # OpenRouter
)
ACCOUNT: Final = tuple(
    Mark(Cause.ACCOUNT_REFUSED, instead_of, statuses, _ACCOUNT_CODES, _ACCOUNT_WORDS.search)
    for instead_of, statuses in (
        (_AUTH, frozenset({402, 403})),
        (_REJECTED, frozenset({400})),
    )
)


# The request is too large for this deployment's limits...

_LIMIT_AND_REQUEST: Final = re.compile(
    r"\blimit:? ?([\d,]+)(?:, used:? ?([\d,]+))?, requested:? ?([\d,]+)", re.IGNORECASE
)
_TOO_LARGE: Final = _any(
    r"^request too large\b",  # OpenAI with 429; Groq with 413
    # Anthropic, unless it says that only a wait is needed ("your account's rate limit. Please
    # try again later").
    r"\bwould exceed the rate limit\b",
    r"\bwould exceed your \w+'?s? rate limit of [\d,]+ (input |output )?tokens\b",
    r"^this request requires more credits, or fewer max_tokens\b",  # OpenRouter, 402
    r"^prompt tokens limit exceeded: [\d,]+ >",  # OpenRouter, 402
)


def _too_large(message: str) -> bool:
    """Say whether a limit that was exceeded leaves no room for this request, ever."""
    if _TOO_LARGE.search(message):
        return True
    # OpenAI, Groq: "Limit 30000, Used 0, Requested 60000".
    found = _LIMIT_AND_REQUEST.search(message)
    if found is None:
        return False
    limit, _, requested = (int((each or "0").replace(",", "") or 0) for each in found.groups())
    return requested > limit


REQUEST_TOO_LARGE: Final = (
    Mark(Cause.REQUEST_TOO_LARGE, _LIMITED, frozenset({429}), words=_too_large),
    Mark(Cause.REQUEST_TOO_LARGE, _AUTH, frozenset({402}), words=_too_large),
    # Groq's code tells its limit of a minute from a body of too many bytes.
    Mark(
        Cause.REQUEST_TOO_LARGE,
        _REJECTED,
        frozenset({413}),
        codes=frozenset({"rate_limit_exceeded"}),
    ),
)

# The request is too long for the model...

_LENGTH: Final = r"(context|prompt|input|sequence|model) (length|window|size|limit)"
CONTEXT_LENGTH: Final = Mark(
    Cause.CONTEXT_LENGTH,
    _OF_REQUEST,
    codes=frozenset(
        {
            "context_length_exceeded",  # OpenAI, Azure, Groq, Cerebras
            "context_window_exceeded",
            "exceed_context_size_error",  # llama.cpp, pull request 15780
            "model_max_prompt_tokens_exceeded",  # GitHub Copilot
            "tokens_limit_reached",  # GitHub Models
            "1261",  # Zhipu: docs.bigmodel.cn, error codes
        }
    ),
    words=_any(
        # Nearly all of them: "is" in OpenAI, vLLM, DeepSeek, OpenRouter and, as a prompt's, in xAI;
        # "of" in SGLang and vLLM, a colon in Fireworks, brackets in TensorRT-LLM.
        rf"\bmax(imum)? (allowed )?({_LENGTH}|length)( is| of|:)? ?\(?\d",
        r"\btoo large for model with \d+ maximum context length\b",  # Mistral
        r"\bmaximum context length\b",  # older ones of the same, without the number
        # The available context size is llama.cpp's, the context window OpenAI's and, of a number,
        # llama-cpp-python's, the context limit Anthropic's, the model token limit Moonshot's.
        r"\bexceed(s|ed|ing)? (the |this )?(available |model'?s? )?"
        r"(context (size|window|length|limit)|max_model_len|token limit)\b",
        r"\bcontext (size|window|length)( has been| was)? exceed(s|ed)\b",  # llama.cpp, MiniMax
        r"\b(longer|greater) than the (model'?s? )?context length\b",  # SGLang, LM Studio
        r"\bprompt (\([^)]{0,60}\) )?is too long\b",  # Anthropic, Bedrock, Fireworks, vLLM
        r"\binput is too long for requested model\b",  # Bedrock
        r"\binput token count\b.{0,20}\bexceeds the maximum number of tokens\b",  # Gemini
        r"\binput tokens exceed the configured limit\b",  # OpenAI
        r"\brange of input length should be \[",  # DashScope
        r"\breduce the length of the (input|messages|prompt|conversation)\b",  # Groq, vLLM
        r"`inputs` (tokens \+ `max_new_tokens` )?must (be <=|have less than) \d",  # TGI, Together
        r"\bprompt token count of \d+ exceeds the limit of \d+\b",  # GitHub Copilot
        r"\blength of prompt_tokens \(\d+\) must be less than max_seq_len\b",  # SiliconFlow
        r"\bexceed max message tokens\b",  # Volcengine
        r"\btoo many tokens: size limit exceeded by \d+\b",  # Cohere
    ).search,
)

# A filter dislikes its content...

_RULES: Final = r"(usage|content|use|safety|moderation|responsible ai) (polic|guideline|practice)"
_CONTENT_CODES: Final = frozenset(
    {
        "content_policy_violation",  # OpenAI
        "moderation_blocked",  # OpenAI
        "content_filter",  # Azure, Moonshot
        "responsibleaipolicyviolation",  # Azure's inner error
        "flagged_input",  # OpenRouter
        "data_inspection_failed",  # DashScope: help.aliyun.com/zh/model-studio/error-code
        "datainspectionfailed",
        "prohibited_content",  # Gemini
        "inputtextsensitivecontentdetected",  # Volcengine
        "outputtextsensitivecontentdetected",
        "sensitivecontentdetected",
        "guardrail_intervened",  # Bedrock
        "1301",  # Zhipu
    }
)
_CONTENT_WORDS: Final = _any(
    # The usage guidelines are xAI's, the usage policy OpenAI's, the practices Google's.
    rf"\bviolat(e|es|ed|ing|ion of) (the |our |\w+'?s? )?{_RULES}",
    r"\bfailed check: safety_check_type",  # xAI
    r"\bcontent management policy\b",  # Azure
    r"\bcontent exists risk\b",  # DeepSeek
    r"\bconsidered high risk\b",  # Moonshot
    r"\bmay contain inappropriate content\b",  # DashScope
    r"\bblocked by (our |the |your )?content filter",  # Anthropic, Bedrock
    r"\brejected (as a result of|by) (our|the) safety system\b",  # OpenAI
    r"\binput was flagged for\b",  # OpenRouter
    r"\bprohibited[_ ]content\b",  # Gemini
    "敏感内容",  # Zhipu
    # And what others are likely to say.
    r"\b(input|prompt|content|message|request|output|response)s? (was|were|is|has been|have been) "
    r"(flagged|blocked|filtered|rejected|refused|moderated)\b.{0,80}"
    r"(moderation|safety|content|polic|guardrail|sensitive|unsafe|harmful)",
)
CONTENT_POLICY: Final = tuple(
    Mark(Cause.CONTENT_POLICY, instead_of, statuses, _CONTENT_CODES, _CONTENT_WORDS.search)
    for instead_of, statuses in (
        (_OF_REQUEST, frozenset[int]()),
        # xAI's and OpenRouter's 403 for content have nothing to do with the key.
        (_AUTH, frozenset({402, 403})),
    )
)

# The model behind it cannot do that...

UNSUPPORTED: Final = Mark(
    Cause.UNSUPPORTED,
    _BROKEN,
    words=_any(
        r"^(image|audio|video) input is not supported\b",  # llama.cpp, issues 13566 and 15377
        r"^failed to parse (messages|tools|grammar|the grammar)\b",  # llama.cpp, issue 12947
        r"^failed to initialize samplers\b",  # llama.cpp, a grammar that it cannot use
        r"^(tools|tool_choice|grammar) param requires\b",  # llama.cpp without --jinja
        r"^unsupported (content part type|param)\b",
    ).search,
)

# The account comes first: its words are read only where a caller's never stand.
OPENAI_COMPATIBLE: Final = RefusalTable(
    STATUSES,
    (QUOTA, *ACCOUNT, *REQUEST_TOO_LARGE, CONTEXT_LENGTH, *CONTENT_POLICY, UNSUPPORTED),
    read_refusal,
)
