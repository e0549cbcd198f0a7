"""A batch of records and audit events, numbered by its writer, and its form in a journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from ...core.records.audit import AuditEvent
from ...core.records.record import Record
from .rows import UNSTORABLE

T = TypeVar("T")

_MOST: Final = 2**63 - 1


class Rejected(msgspec.Struct):
    """An item that can never be written, and the reason."""

    item: object
    reason: str

    @property
    def request_id(self) -> str | None:
        """The id of the request that it is the record of, if it is one."""
        found: Any = self.item
        return (
            found.get("request_id")
            if isinstance(found, dict)
            else getattr(found, "request_id", None)
        )


class Batch(msgspec.Struct):
    """Records and audit events; a writer's batches are written in the order of their numbers."""

    number: int
    records: list[Record]
    events: list[AuditEvent]

    def __repr__(self) -> str:
        return f"<Batch {self.number}: {len(self.records)} records, {len(self.events)} events>"

    def __len__(self) -> int:
        return len(self.records) + len(self.events)


class _Any(msgspec.Struct):
    number: int
    records: list[Any]
    events: list[Any]


# By name: an older or newer gateway's journal lacks some fields and has others.
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Batch)
_any_decoder: Final = msgspec.msgpack.Decoder(_Any)


def encode(batch: Batch) -> bytes:
    """Return a batch as msgpack, whatever texts and numbers callers made up."""
    try:
        return _encoder.encode(batch)
    except Exception:  # noqa: BLE001  # of one item, which would hold up all others
        return _encoder.encode({
            "number": batch.number,
            "records": [_encodable_or_error(record) for record in batch.records],
            "events": [_encodable_or_error(event) for event in batch.events],
        })  # fmt: skip


def decode(payload: bytes) -> tuple[Batch, list[Rejected]]:
    """Return a batch, and those of its items that this gateway cannot decode.

    Raises msgspec.DecodeError if the payload is no batch.
    """
    try:
        return _decoder.decode(payload), []
    except msgspec.DecodeError:
        found = _any_decoder.decode(payload)
    rejected: list[Rejected] = []
    batch = Batch(
        number=found.number,
        records=_converted(found.records, Record, rejected),
        events=_converted(found.events, AuditEvent, rejected),
    )
    return batch, rejected


def encodable(value: object, depth: int = 10) -> Any:  # noqa: PLR0911  # a table of types
    """Return `value` with nothing in it that UTF-8, 64 bits or msgspec cannot express."""
    match value:
        case None | bool() | float():
            return value
        case str():
            return UNSTORABLE.sub("\ufffd", value)
        case int():
            return max(-_MOST, min(value, _MOST))
        case _ if not depth:
            return "..."
        case dict():
            return {
                encodable(str(name)): encodable(each, depth - 1) for name, each in value.items()
            }
        case list() | tuple():
            return [encodable(each, depth - 1) for each in value]
        case msgspec.Struct():
            return {
                name: encodable(getattr(value, name), depth - 1) for name in value.__struct_fields__
            }
        case _:
            return encodable(str(value))


def _encodable_or_error(item: object) -> Any:
    """Return the item, or in its place what `decode` sets aside as one that it cannot read."""
    try:
        return encodable(item)
    except Exception as exc:  # noqa: BLE001  # of any kind
        return {"error": f"{type(exc).__name__}: {exc}"}


def _converted(items: list[Any], kind: Callable[..., T], rejected: list[Rejected]) -> list[T]:
    converted: list[T] = []
    for item in items:
        try:
            converted.append(msgspec.convert(item, kind))
        except msgspec.ValidationError as exc:
            rejected.append(Rejected(item, str(exc)))
    return converted
