"""The account is at fault, in the words of many providers."""

from __future__ import annotations

from typing import Any, Final

import pytest

from gateway.core.routing.causes import Cause

from ..refused import cause_of

CASES: Final[list[Any]] = [
    pytest.param(
        429,
        {
            "error": {
                "code": "1113",
                "message": "Insufficient balance or no resource package. Please recharge.",
            },
        },
        Cause.ACCOUNT_REFUSED,
        id="zhipu bal",
    ),
    pytest.param(
        429,
        {
            "error": {
                "message": (
                    "You exceeded your current token quota: <org> 0, please check your "
                    "account balance"
                ),
                "type": "exceeded_current_quota_error",
            },
        },
        Cause.ACCOUNT_REFUSED,
        id="moonshot quota",
    ),
    pytest.param(
        429,
        {
            "error": {
                "message": (
                    "Your account org-x<ak-y> is suspended due to insufficient balance, "
                    "please recharge your account or check your plan and billing details"
                ),
                "type": "exceeded_current_quota_error",
            },
        },
        Cause.ACCOUNT_REFUSED,
        id="moonshot susp",
    ),
    pytest.param(
        429,
        {
            "error": {
                "code": "PrepaidBillOverdue",
                "message": "The prepaid bill is overdue.",
            },
        },
        Cause.ACCOUNT_REFUSED,
        id="dash overdue",
    ),
    pytest.param(
        429,
        {
            "error": {
                "code": "PostpaidBillOverdue",
                "message": "The postpaid bill is overdue.",
            },
        },
        Cause.ACCOUNT_REFUSED,
        id="dash postpaid",
    ),
    pytest.param(
        429,
        {
            "error": {
                "code": "CommodityNotPurchased",
                "message": "Commodity has not purchased yet.",
            },
        },
        Cause.ACCOUNT_REFUSED,
        id="dash comm",
    ),
    pytest.param(
        403,
        {
            "error": {
                "message": (
                    "The free quota has been exhausted. To continue accessing the model on "
                    "a paid basis, please complete your payment information"
                ),
                "type": "AllocationQuota.FreeTierOnly",
                "param": None,
                "code": "AllocationQuota.FreeTierOnly",
            },
        },
        Cause.ACCOUNT_REFUSED,
        id="dash free",
    ),
    pytest.param(
        429,
        {
            "error": {
                "message": (
                    "You exceeded your current quota, please check your plan and billing details."
                ),
                "type": "insufficient_quota",
                "param": None,
                "code": "insufficient_quota",
            },
        },
        Cause.AUTH_FAILED,
        id="openai quota",
    ),
    pytest.param(
        429,
        {
            "error": {
                "message": (
                    "Your account is not active, please check your billing details on our website."
                ),
                "type": "billing_not_active",
                "param": None,
                "code": "billing_not_active",
            },
        },
        Cause.AUTH_FAILED,
        id="openai billing",
    ),
    pytest.param(
        429,
        {
            "error": {
                "message": "Billing hard limit has been reached",
                "type": "invalid_request_error",
                "param": None,
                "code": "billing_hard_limit_reached",
            },
        },
        Cause.ACCOUNT_REFUSED,
        id="openai hard",
    ),
    pytest.param(
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": (
                    "Your credit balance is too low to access the Anthropic API. Please go "
                    "to Plans & Billing to upgrade or purchase credits."
                ),
            },
        },
        Cause.ACCOUNT_REFUSED,
        id="anthropic credit",
    ),
    pytest.param(
        402,
        {
            "type": "error",
            "error": {
                "type": "billing_error",
                "message": "There's an issue with your billing",
            },
        },
        Cause.ACCOUNT_REFUSED,
        id="anthropic billing",
    ),
    pytest.param(
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": (
                    "You have reached your specified API usage limits. You will regain "
                    "access on 2026-01-01 at 00:00 UTC."
                ),
            },
        },
        Cause.ACCOUNT_REFUSED,
        id="anthropic usage",
    ),
    pytest.param(
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "This organization has been disabled.",
            },
        },
        Cause.ACCOUNT_REFUSED,
        id="anthropic org",
    ),
    pytest.param(
        402,
        {
            "error": {
                "message": "Insufficient Balance",
                "type": "unknown_error",
                "param": None,
                "code": "invalid_request_error",
            },
        },
        Cause.ACCOUNT_REFUSED,
        id="deepseek",
    ),
    pytest.param(
        402,
        {
            "error": {
                "message": (
                    "Insufficient credits. This account never purchased credits. Make sure "
                    "your key is on the correct account or org"
                ),
                "type": None,
                "param": None,
                "code": 402,
            },
        },
        Cause.ACCOUNT_REFUSED,
        id="openrouter never",
    ),
    pytest.param(
        402,
        "You exceeded your current quota, please check your plan and billing details",
        Cause.ACCOUNT_REFUSED,
        id="wandb",
    ),
    pytest.param(
        402,
        {
            "error": (
                "You have exceeded your monthly included credits for Inference "
                "Providers. Subscribe to PRO to get 20x more monthly included credits."
            ),
        },
        Cause.ACCOUNT_REFUSED,
        id="hf",
    ),
    pytest.param(
        402,
        {
            "error": {
                "message": (
                    "Credit limit exceeded, please navigate to "
                    "https://api.together.xyz/settings/billing to upgrade"
                ),
                "type": "credit_limit",
                "param": None,
                "code": None,
            },
        },
        Cause.ACCOUNT_REFUSED,
        id="together",
    ),
    pytest.param(
        412,
        {
            "error": {
                "message": (
                    "Account x is suspended, possibly due to reaching the monthly spending "
                    "limit or failure to pay past invoices"
                ),
                "type": "error",
                "param": None,
                "code": "PRECONDITION_FAILED",
            },
        },
        Cause.ACCOUNT_REFUSED,
        id="fireworks",
    ),
    pytest.param(
        402,
        {
            "message": "Payment required to access this resource.",
            "type": "payment_required_error",
            "code": "payment_required",
        },
        Cause.ACCOUNT_REFUSED,
        id="cerebras402",
    ),
    pytest.param(
        403,
        {
            "error": {
                "message": (
                    "You've reached your usage limit for this billing cycle. Your quota "
                    "will be refreshed in the next cycle. Upgrade to get more"
                ),
                "type": "access_terminated_error",
            },
        },
        Cause.ACCOUNT_REFUSED,
        id="kimi 403 usage",
    ),
    pytest.param(
        403,
        {
            "error": {
                "message": "Access terminated. Review our Community Guidelines",
                "type": "access_terminated_error",
            },
        },
        Cause.ACCOUNT_REFUSED,
        id="kimi 403 terminated",
    ),
    pytest.param(
        429,
        {
            "error": {
                "type": "insufficient_balance_error",
                "message": "insufficient balance (1008)",
            },
        },
        Cause.ACCOUNT_REFUSED,
        id="minimax bal",
    ),
    pytest.param(
        403,
        {
            "code": 30001,
            "message": "Sorry, your account balance is insufficient",
            "data": None,
        },
        Cause.ACCOUNT_REFUSED,
        id="siliconflow",
    ),
    pytest.param(
        403,
        {
            "error": {
                "code": "AccountOverdueError",
                "message": ("The request failed because your account has an overdue balance."),
                "type": "Forbidden",
            },
        },
        Cause.ACCOUNT_REFUSED,
        id="volc",
    ),
    pytest.param(
        400,
        {
            "error": {
                "message": ("Budget has been exceeded! Current cost: 26.075, Max budget: 0.25"),
                "type": "budget_exceeded",
                "param": None,
                "code": "400",
            },
        },
        Cause.ACCOUNT_REFUSED,
        id="litellm budget",
    ),
    pytest.param(
        429,
        {
            "error": {
                "message": ("Budget has been exceeded! Current cost: 26.075, Max budget: 0.25"),
                "type": "budget_exceeded",
                "param": None,
                "code": "429",
            },
        },
        Cause.ACCOUNT_REFUSED,
        id="litellm budget429",
    ),
    pytest.param(
        429,
        {
            "code": "Some resource has been exhausted",
            "error": (
                "Your team 1 has either used all available credits or reached its "
                "monthly spending limit."
            ),
        },
        Cause.ACCOUNT_REFUSED,
        id="xai spending",
    ),
    pytest.param(
        402,
        {
            "error": {
                "message": (
                    "Insufficient funds. Please add credits to your account to continue "
                    "using AI services."
                ),
                "type": "insufficient_funds",
                "param": None,
                "code": None,
            },
        },
        Cause.ACCOUNT_REFUSED,
        id="vercel",
    ),
]


@pytest.mark.parametrize(("status", "body", "cause"), CASES)
def test_the_account(status: int, body: Any, cause: Cause) -> None:
    assert cause_of(status, body) is cause


@pytest.mark.parametrize(
    "text",
    [
        # What a caller wrote may stand anywhere but at the start.
        "Invalid value: Insufficient balance",
        "Unknown model: Your credit balance is too low",
        "tool name may not be budget has been exceeded!",
        # These are about one caller, or one request.
        "ExceededBudget: End User=x over budget. Spend=2, Budget=1",
        "Your organization must be verified to stream this model.",
        "You have reached the maximum number of tools",
    ],
)
@pytest.mark.parametrize("status", [400, 403, 412, 429])
def test_other_refusals_set_no_key_aside(status: int, text: str) -> None:
    assert cause_of(status, text) is not Cause.ACCOUNT_REFUSED
