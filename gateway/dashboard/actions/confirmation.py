"""The question before something is done: what will happen, and the form that does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec
from starlette.responses import Response

from ...errors import InvalidRequest
from ..page_request import PageRequest

T = TypeVar("T", bound=msgspec.Struct)


class FormField(msgspec.Struct, frozen=True, kw_only=True):
    """A field of the form: a list to choose from if it has `choices`, pairs of value and label."""

    name: str
    label: str
    choices: Sequence[tuple[str, str]] = ()
    value: str = ""
    hint: str = ""
    most: int = 200


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """`action` is where the form goes, `back` the page that it came from."""

    title: str
    subject: str
    says: str
    button: str
    action: str
    back: str
    fields: Sequence[FormField] = ()
    danger: bool = False


SPANS = (
    ("900", "15 minutes"),
    ("3600", "1 hour"),
    ("14400", "4 hours"),
    ("86400", "1 day"),
)


async def ask(request: PageRequest, active: str, wanted: Confirmation) -> Response:
    """Show the question: as a page, or as what a script puts into a dialog."""
    template = "parts/act.html" if request.wants_part else "act.html"
    return await request.page(template, active=active, act=wanted)


async def fields_of(request: PageRequest) -> dict[str, str]:
    """Return the fields of a form, of each the first. Raises InvalidRequest."""
    return {name: values[0] for name, values in (await request.admin.form()).items()}


def read(fields: Mapping[str, str], wanted: type[T]) -> T:
    """Return those of `fields` that a `wanted` has; texts may be numbers. Raises InvalidRequest."""
    names = wanted.__struct_encode_fields__
    given = {name: fields[name] for name in names if name in fields}
    try:
        return msgspec.convert(given, wanted, strict=False)
    except msgspec.ValidationError as exc:
        raise InvalidRequest(f"The form: {exc}.") from exc
