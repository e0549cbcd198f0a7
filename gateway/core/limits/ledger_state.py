"""What a ledger that processes share holds, as its holder hands it to the program that follows.

Times are seconds from when it was written down.
"""

from __future__ import annotations

import msgspec

from .account import Account, Scope, open_account
from .operations import GrantHolding


class SpendingState(msgspec.Struct, frozen=True):
    """What is spent of a budget, in the window that begins at `starts`; see `budget.Spending`."""

    starts: float
    spent: int
    usual: int = 0


class AccountState(msgspec.Struct, frozen=True):
    """When the buckets of a scope are full again, and its budget. Leases are those of grants."""

    scope: Scope
    requests: float | None = None
    tokens: float | None = None
    spending: SpendingState | None = None


class GrantState(msgspec.Struct, frozen=True):
    """A grant under way, and when it expires unless it is renewed."""

    holding: GrantHolding
    seconds: float


class LedgerState(msgspec.Struct, frozen=True):
    """`ended` says until when it is known of grants that they have ended, `processes` of processes
    that they are there, and `lowered` when budgets were last lowered; all three by names.
    """

    accounts: tuple[AccountState, ...] = ()
    grants: tuple[GrantState, ...] = ()
    ended: dict[str, float] = {}
    lowered: dict[str, float] = {}
    processes: dict[str, float] = {}


def account_state(account: Account, now: float) -> AccountState:
    requests, tokens, spending = account.requests, account.tokens, account.spending
    return AccountState(
        account.scope,
        None if requests is None else max(0.0, requests.full_at - now),
        None if tokens is None else max(0.0, tokens.full_at - now),
        None
        if spending is None
        else SpendingState(spending.starts, spending.spent, spending.usual),
    )


def account_of(state: AccountState, now: float, epoch: float) -> Account:
    """Return the account that `state` is of, at `now`, which is when it was written down."""
    account = open_account(state.scope, epoch)
    if account.requests is not None and state.requests is not None:
        account.requests.full_at = now + state.requests
    if account.tokens is not None and state.tokens is not None:
        account.tokens.full_at = now + state.tokens
    spending, said = account.spending, state.spending
    if spending is not None and said is not None:
        spending.usual = said.usual
        if said.starts >= spending.starts:
            spending.spent = said.spent
    return account
