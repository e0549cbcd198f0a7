"""Calls as `limits.lua` takes them, and its replies. Its comments say what stands where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

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
from .pipelined import word

_NOTHING: Final = ScopeCharge()
# Members of a level in a reply, of a charge with its level, and of a count that was compared.
_LEVEL: Final = 5
_CHARGED: Final = 8
_CORRECTED: Final = 4
# How many scopes are remembered as arguments: as many as keys with limits, or so.
_MOST: Final = 100_000


class Arguments:
    """Keys and arguments of a script, as the protocol has them; scopes bring theirs ready.

    What belongs together is one argument with spaces between: packing a word here takes longer
    than finding it there.
    """

    __slots__ = ("_arguments", "_keys", "_parts", "_tail")

    def __init__(self, *arguments: str) -> None:
        self._keys = 0
        self._arguments = len(arguments)
        self._parts: list[bytes] = []
        self._tail = [*map(word, arguments)]

    def __repr__(self) -> str:
        return f"<Arguments: {self._keys} keys, {self._arguments} arguments>"

    def key(self, key: str) -> None:
        self._keys += 1
        self._parts.append(word(key))

    def add(self, argument: str) -> None:
        self._arguments += 1
        self._tail.append(word(argument))

    def scope(self, scope: PackedScope) -> None:
        """Add three keys and an argument."""
        self._keys += 3
        self._parts.append(scope.keys)
        self._arguments += 1
        self._tail.append(scope.arguments)

    def command(self, *words: str | bytes) -> bytes:
        """Return the command that begins with `words`, such as EVALSHA and its script."""
        many = len(words) + 1 + self._keys + self._arguments
        head = b"".join(map(word, (*words, self._keys)))
        return b"".join((b"*%d\r\n" % many, head, *self._parts, *self._tail))


class PackedScope(NamedTuple):
    """A scope's three keys and the argument that are its limits."""

    scope: Scope
    keys: bytes
    arguments: bytes


class ScriptArguments:
    """`prefix` begins every key, as what a cluster places keys by: all are in one slot."""

    def __init__(self, prefix: str) -> None:
        self._prefix = f"{{{prefix}}}:"
        self._databases = f"{self._prefix}databases"
        self._known: dict[str, PackedScope] = {}

    def of(self, call: LimitCall) -> Arguments:
        """Return the keys and the arguments of `call`."""
        match call:
            case AdmitCall():
                found = self._admit(call)
            case EndCall():
                found = self._end(call)
            case RenewCall():
                found = self._renew(call)
            case StatusCall():
                found = Arguments("status")
                self._scopes(call.scopes, found)
            case CarryCall():
                found = self._carry(call)
            case CorrectCall():
                found = self._correct(call)
            case BeatCall():
                unrecorded = "1" if call.unrecorded else "0"
                found = Arguments("beat", call.name, repr(call.seconds), unrecorded)
                found.key(f"{self._prefix}p")
                found.key(self._databases)
            case AnnounceCall():
                raise StoreFailed("what is announced is no script's business")
        return found

    def reply(self, call: LimitCall, said: bytes) -> Any:
        """Return what the reply to `call` says. Raises StoreFailed."""
        raw = said.split(b"\n") if said else []
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
        demand = call.demand
        bounded = "1" if demand.bounded else "0"
        found = Arguments(
            "admit", f"{call.id} {call.seconds!r} {demand.tokens} {demand.cost} {bounded}"
        )
        found.key(self._grant(call.id))
        self._scopes(call.scopes, found)
        return found

    def _end(self, call: EndCall) -> Arguments:
        found = Arguments("end")
        for ending in call.endings:
            grant = ending.grant
            told = f"{ending.how} {ending.tokens} {ending.cost}"
            found.add(f"{told} {grant.id} {len(grant.scopes)}")
            self._held(grant, found)
        return found

    def _renew(self, call: RenewCall) -> Arguments:
        found = Arguments("renew", repr(call.seconds))
        for grant in call.grants:
            found.add(f"{'1' if grant.leased else '0'} {grant.id} {len(grant.scopes)}")
            self._held(grant, found)
        return found

    def _held(self, grant: GrantHolding, found: Arguments) -> None:
        found.key(self._grant(grant.id))
        for number, scope in enumerate(grant.scopes):
            charge = grant.charges[number] if number < len(grant.charges) else _NOTHING
            found.scope(self._scope(scope))
            found.add(f"{charge.requests!r} {charge.tokens!r} {charge.reserved}")

    def _carry(self, call: CarryCall) -> Arguments:
        found = Arguments("carry")
        found.key(self._grant(call.id))
        for used in call.used:
            found.scope(self._scope(used.scope))
            before = used.before
            found.add(
                f"{before.requests!r} {before.tokens!r} {used.requests!r} {used.tokens!r}"
                f" {used.spent} {used.epoch!r}"
            )
        return found

    def _correct(self, call: CorrectCall) -> Arguments:
        found = Arguments("correct", call.database)
        for record in call.records:
            found.scope(self._scope(record.scope))
            found.add(f"{record.spent} {record.epoch!r} {record.excess}")
        found.key(self._databases)
        return found

    def _scopes(self, scopes: Iterable[Scope], found: Arguments) -> None:
        for scope in scopes:
            found.scope(self._scope(scope))

    def _scope(self, scope: Scope) -> PackedScope:
        known = self._known.get(scope.key)
        if known is not None and known.scope is scope:
            return known
        if len(self._known) >= _MOST:
            self._known.clear()
        keys = [f"{self._prefix}{kind}:{scope.key}" for kind in "lcv"]
        limits, budget = scope.limits, scope.budget
        rates = f"{limits.rpm or 0} {limits.tpm or 0} {limits.max_concurrent or 0}"
        of_budget = "0 -" if budget is None else f"{budget.nano} {budget.window}"
        found = PackedScope(scope, b"".join(map(word, keys)), word(f"{rates} {of_budget}"))
        self._known[scope.key] = found
        return found

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
