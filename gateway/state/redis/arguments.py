"""Calls as `limits.lua` takes them, and its replies. Its comments say what stands where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from ...core.limits.ledger import LimitKind, LimitRefusal, Scope
from ...core.limits.operations import (
    AdmitCall,
    Admitted,
    AnnounceCall,
    BeatCall,
    CarryCall,
    CorrectCall,
    EndCall,
    GrantHolding,
    LimitCall,
    NotAdmitted,
    RenewCall,
    ScopeCharge,
    ScopeLevel,
    SpendingCounted,
    StatusCall,
    StoreFailed,
)
from ...core.limits.refusals import message_of

_NOTHING: Final = ScopeCharge()
# Members of a level in a reply, of a charge with its level, and of a count that was compared.
_LEVEL: Final = 5
_CHARGED: Final = 8
_CORRECTED: Final = 4
# How many scopes are remembered as arguments: as many as keys with limits, or so.
_MOST: Final = 100_000

Arguments = tuple[list[str], list[str]]


class ScriptArguments:
    """`prefix` begins every key, as what a cluster places keys by: all are in one slot."""

    def __init__(self, prefix: str) -> None:
        self._prefix = f"{{{prefix}}}:"
        self._databases = f"{self._prefix}databases"
        # By its key, a scope, its keys and its arguments.
        self._known: dict[str, tuple[Scope, list[str], list[str]]] = {}

    def of(self, call: LimitCall) -> Arguments:  # noqa: PLR0911  # one for each kind of call
        """Return the keys and the arguments of `call`."""
        match call:
            case AdmitCall():
                return self._admit(call)
            case EndCall():
                return self._end(call)
            case RenewCall():
                return self._renew(call)
            case StatusCall():
                keys, arguments = self._scopes(call.scopes)
                return keys, ["status", *arguments]
            case CarryCall():
                return self._carry(call)
            case CorrectCall():
                return self._correct(call)
            case BeatCall():
                keys = [f"{self._prefix}p", self._databases]
                unrecorded = "1" if call.unrecorded else "0"
                return keys, ["beat", call.name, repr(call.seconds), unrecorded]
            case AnnounceCall():
                raise StoreFailed("what is announced is no script's business")

    def reply(self, call: LimitCall, raw: Sequence[bytes]) -> Any:
        """Return what the reply to `call` says. Raises StoreFailed."""
        match call:
            case AdmitCall():
                return _admitted(call, raw)
            case StatusCall():
                return _levels(raw)
            case CorrectCall():
                return [
                    SpendingCounted(int(spent), int(before), int(on_record), int(databases))
                    for before, spent, on_record, databases in _groups(raw, _CORRECTED)
                ]
            case BeatCall():
                return int(raw[0])
            case _:
                return None

    def _admit(self, call: AdmitCall) -> Arguments:
        keys, arguments = self._scopes(call.scopes)
        demand = call.demand
        return [self._grant(call.id), *keys], [
            "admit",
            call.id,
            repr(call.seconds),
            str(demand.tokens),
            str(demand.cost),
            "1" if demand.bounded else "0",
            *arguments,
        ]

    def _end(self, call: EndCall) -> Arguments:
        keys: list[str] = []
        arguments = ["end"]
        for ending in call.endings:
            grant = ending.grant
            arguments += (ending.how, str(ending.tokens), str(ending.cost))
            arguments += (grant.id, str(len(grant.scopes)))
            self._held(grant, keys, arguments)
        return keys, arguments

    def _renew(self, call: RenewCall) -> Arguments:
        keys: list[str] = []
        arguments = ["renew", repr(call.seconds)]
        for grant in call.grants:
            arguments += ("1" if grant.leased else "0", grant.id, str(len(grant.scopes)))
            self._held(grant, keys, arguments)
        return keys, arguments

    def _held(self, grant: GrantHolding, keys: list[str], arguments: list[str]) -> None:
        keys.append(self._grant(grant.id))
        for number, scope in enumerate(grant.scopes):
            charge = grant.charges[number] if number < len(grant.charges) else _NOTHING
            of, limits = self._scope(scope)
            keys += of
            arguments += limits
            arguments += (repr(charge.requests), repr(charge.tokens), str(charge.reserved))

    def _carry(self, call: CarryCall) -> Arguments:
        keys, arguments = [self._grant(call.id)], ["carry"]
        for used in call.used:
            of, limits = self._scope(used.scope)
            keys += of
            arguments += limits
            arguments += (repr(used.before.requests), repr(used.before.tokens))
            arguments += (repr(used.requests), repr(used.tokens))
            arguments += (str(used.spent), repr(used.epoch))
        return keys, arguments

    def _correct(self, call: CorrectCall) -> Arguments:
        keys: list[str] = []
        arguments = ["correct", call.database]
        for record in call.records:
            of, limits = self._scope(record.scope)
            keys += of
            arguments += limits
            arguments += (str(record.spent), repr(record.epoch), str(record.excess))
        return [*keys, self._databases], arguments

    def _scopes(self, scopes: Iterable[Scope]) -> Arguments:
        keys: list[str] = []
        arguments: list[str] = []
        for scope in scopes:
            of, limits = self._scope(scope)
            keys += of
            arguments += limits
        return keys, arguments

    def _scope(self, scope: Scope) -> Arguments:
        known = self._known.get(scope.key)
        if known is not None and known[0] is scope:
            return known[1], known[2]
        if len(self._known) >= _MOST:
            self._known.clear()
        keys = [f"{self._prefix}{kind}:{scope.key}" for kind in "lcv"]
        limits, budget = scope.limits, scope.budget
        arguments = [str(each or 0) for each in (limits.rpm, limits.tpm, limits.max_concurrent)]
        arguments += ("0", "") if budget is None else (str(budget.nano), budget.window)
        self._known[scope.key] = scope, keys, arguments
        return keys, arguments

    def _grant(self, grant_id: str) -> str:
        return f"{self._prefix}g:{grant_id}"


def _admitted(call: AdmitCall, raw: Sequence[bytes]) -> Admitted | NotAdmitted:
    if raw[0] == b"admitted":
        return Admitted(
            [
                ScopeCharge(float(raw[at]), float(raw[at + 1]), int(raw[at + 2]))
                for at in range(1, len(raw), _CHARGED)
            ],
            [_level(raw, at + 3) for at in range(1, len(raw), _CHARGED)],
        )
    if raw[0] == b"refused":
        scope, kind = call.scopes[int(raw[1])], LimitKind(raw[3].decode())
        never = not raw[2]
        wait = float("inf") if never else float(raw[2])
        message = message_of(scope, kind, call.demand.tokens, wait, used_up=raw[4] == b"1")
        refusal = LimitRefusal(scope, kind, None if never else wait, message)
        return NotAdmitted(refusal, _levels(raw[5:]))
    raise StoreFailed("the grant has been given up")


def _levels(raw: Sequence[bytes]) -> list[ScopeLevel]:
    return [_level(raw, at) for at in range(0, len(raw), _LEVEL)]


def _level(raw: Sequence[bytes], at: int) -> ScopeLevel:
    return ScopeLevel(
        float(raw[at]),
        float(raw[at + 1]),
        int(raw[at + 2]),
        int(raw[at + 3]),
        float(raw[at + 4]) if raw[at + 4] else None,
    )


def _groups(raw: Sequence[bytes], size: int) -> Iterable[Sequence[bytes]]:
    return (raw[at : at + size] for at in range(0, len(raw), size))
