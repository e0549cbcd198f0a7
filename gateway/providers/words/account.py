"""The account or its key is at fault: no request would be served with it.

A key is set aside for that. So each word stands at the start of the message: what a caller wrote
is never there.
"""

from __future__ import annotations

from typing import Final

from ...core.routing.causes import Cause
from ...core.routing.refusals import Mark
from .causes import AUTH, LIMITED, REJECTED, any_of

# OpenAI says 429 for that too (its error codes guide), but no wait cures it.
QUOTA: Final = Mark(
    Cause.AUTH_FAILED,
    LIMITED,
    codes=frozenset({"insufficient_quota", "billing_not_active", "insufficient_balance"}),
)
_CODES: Final = frozenset(
    {
        "insufficient_quota",
        "insufficient_balance",
        "insufficient_balance_error",  # MiniMax
        "insufficient_credits",
        "insufficient_funds",  # Vercel
        "exceeded_current_quota_error",  # Moonshot, with 429
        "billing_not_active",
        "billing_error",  # Anthropic, 402
        "billing_hard_limit_reached",  # OpenAI, with 400
        "payment_required",  # Cerebras, 402
        "payment_required_error",
        "credit_limit",  # Together, 402
        "account_deactivated",
        "access_terminated",
        "access_terminated_error",  # Kimi for Coding, 403
        "unsupported_country_region_territory",  # OpenAI, 403: where we are
        "invalid_api_key",
        "api_key_invalid",  # Gemini, with 400
        # DashScope, with 400, 403 and 429: help.aliyun.com/zh/model-studio/error-code
        "arrearage",
        "accessdenied.unpurchased",
        "allocationquota.freetieronly",
        "prepaidbilloverdue",
        "postpaidbilloverdue",
        "commoditynotpurchased",
        "accountoverdueerror",  # Volcengine, 403
        "personal-team-blocked:spending-limit",  # xAI
    }
)
_WORDS: Final = any_of(
    r"^insufficient (usd|account|credit|user)?.{0,12}(balance|credits?|funds|quota)",  # DeepSeek
    r"^(this )?(api )?key (limit exceeded|is disabled|is currently blocked)",  # OpenRouter, xAI
    r"^(incorrect api key provided|api key (not valid|expired))",  # xAI, Gemini: with 400
    r"^your (newly created )?team\b.{0,80}\b(credits|licenses|spending limit)",  # xAI
    # Moonshot puts the ids of account and key in between; Fireworks says it with 412.
    r"^(your |this )?(account|organization|access|workspace)\b.{0,120}"
    r"\b(deactivated|disabled|suspended|terminated|banned|in good standing|overdue)",
    # Anthropic with 400, SiliconFlow with 403.
    r"^(sorry, )?your (account|credit) balance is (insufficient|too low)\b",
    r"^the request failed because your account has an overdue balance\b",  # Volcengine
    r"^you have reached your specified api usage limits\b",  # Anthropic, with 400
    r"^you've reached your usage limit\b",  # Kimi for Coding, 403
    r"^you have exceeded your monthly included credits\b",  # Hugging Face, 402
    r"^the free (quota|tier) (has been|is) exhausted\b",  # DashScope, 403
    r"^(credit|monthly spending) limit (exceeded|reached)\b",  # Together, 402
    r"^budget has been exceeded!",  # LiteLLM: the budget of our key or team there
    r"^payment required\b",
    r"^this request requires more credits\b.{0,120}\bcan only afford 0\b",  # OpenRouter
)
# With 429 these are Gemini's words for a limit of a minute.
_UNPAID_WORDS: Final = any_of(r"^you exceeded your current quota\b")  # Weights & Biases

ACCOUNT: Final = (
    Mark(Cause.ACCOUNT_REFUSED, AUTH, frozenset({402, 403}), _CODES, _WORDS.search),
    Mark(Cause.ACCOUNT_REFUSED, AUTH, frozenset({402}), words=_UNPAID_WORDS.search),
    Mark(Cause.ACCOUNT_REFUSED, REJECTED, frozenset({400, 412}), _CODES, _WORDS.search),
    Mark(Cause.ACCOUNT_REFUSED, LIMITED, frozenset({429}), _CODES, _WORDS.search),
)

# What is not for callers: whatever speaks of who we are with the provider, what we may and what we
# pay there, and anything that looks like a name of it (`org-...`, `sk-...`, an ARN, an address).
CONFIDENTIAL: Final = any_of(
    r"\b(api|access|secret)?[ _-]?keys?\b|\bcredentials?\b|\btokens? (is|are|has|was|were)\b",
    r"\b(accounts?|organi[sz]ations?|orgs?|projects?|teams?|workspaces?|tenants?|subscriptions?)\b",
    r"\b(users?|roles?|principals?|members?|memberships?|plans?|tiers?|owners?)\b",
    r"\b(billing|bills?|balances?|credits?|quotas?|payments?|paid|invoices?|spend(ing)?|budgets?)\b",
    r"\b(authori[sz]ed|authenticat\w+|permissions?|polic(y|ies) (allows|permits)|iam)\b",
    r"\b(allow|block|white)-?lists?(ed)?\b|\bip address(es)?\b|\bfirewalls?\b",
    r"\barn:|@[\w-]+\.\w|\b\d{1,3}(\.\d{1,3}){3}\b",
    r"\b(sk|pk|ak|rk|org|proj|user|acct|team|ws|key|req)[-_]\w{3}",
    # Long names with digits among the letters: ids, digests.
    r"\b(?=[\w-]*\d)(?=[\w-]*[a-z])[\w-]{20,}",
)
