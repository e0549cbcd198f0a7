"""The forms in which keys and teams are made and changed: what stands in them, what was written.

A form keeps what a person has written, also where it is wrong, and says beside the field what would
be right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import msgspec

from ...admin.request import explained
from ...control.key_view import KeyView
from ...control.team_view import TeamState
from ...errors import InvalidRequest

T = TypeVar("T")

LIMITS: Final = (
    ("rpm", "Requests a minute"),
    ("tpm", "Tokens a minute"),
    ("max_concurrent", "Requests at once"),
)
WINDOWS: Final = (("day", "a day"), ("week", "a week"), ("month", "a month"), ("total", "in all"))
OVERLAPS: Final = (
    (0, "Not at all: it ends now"),
    (300, "5 minutes"),
    (3600, "1 hour"),
    (86_400, "1 day"),
    (604_800, "7 days"),
)
LABELS: Final = {
    "name": "Name",
    "models": "Models",
    "team": "Team",
    **dict(LIMITS),
    "budget": "Budget",
    "expires_at": "Expires",
    "labels": "Labels",
    "passthrough": "May ask for anything",
    "overrides": "May choose",
}
_FIELDS: Final = (
    *("name", "models", "team", "rpm", "tpm", "max_concurrent", "budget_usd", "budget_window"),
    *("expires_at", "labels"),
)
# A page that was made before the form had them says nothing of them, and takes nothing away.
_LISTS: Final = ("passthrough", "overrides")
_WHILE: Final = re.compile(r"(\d{1,5})\s?(h|d|w)", re.ASCII)
_HOURS: Final = {"h": 1, "d": 24, "w": 168}

Form = Mapping[str, Sequence[str]]


class TermForm(msgspec.Struct):
    """What stands in the fields, by name, and what is wrong: with which field, and in words."""

    values: dict[str, str]
    field: str = ""
    problem: str = ""


def of_key(key: KeyView) -> TermForm:
    """Return the form of a key as it is."""
    expires = key.expires_at
    return TermForm(
        {
            **of_team(key).values,
            "models": ", ".join(key.models),
            "team": key.team or "",
            "expires_at": "" if expires is None else _shown(expires),
            "labels": "\n".join(f"{name}={value}" for name, value in key.labels.items()),
            **{name: ", ".join(getattr(key, name)) for name in _LISTS},
        }
    )


def of_team(of: TeamState | KeyView) -> TermForm:
    """Return the form of the limits alone."""
    budget = of.budget
    return TermForm(
        {
            "name": of.name,
            **{name: _text(getattr(of, name)) for name, _ in LIMITS},
            "budget_usd": "" if budget is None else f"{budget.usd:.12g}",
            "budget_window": "month" if budget is None else budget.window,
        }
    )


def empty(**values: str) -> TermForm:
    """Return the form of something new."""
    return TermForm({"budget_window": "month", "models": "*", **values})


def written(form: Form) -> TermForm:
    """Return the form as a person has sent it."""
    lists = [name for name in _LISTS if name in form]
    return TermForm({name: one(form, name) for name in (*_FIELDS, *lists)})


def one(form: Form, name: str) -> str:
    """Return a field, "" if it is absent. Raises InvalidRequest if it is given twice."""
    values = form.get(name, [""])
    if len(values) > 1:
        raise InvalidRequest(f"{name} can be given once only.", param=name)
    # A browser ends lines as in mail.
    return values[0].replace("\r\n", "\n").strip()


def version_of(form: Form) -> str | None:
    """Return the ETag of the version that a form was made of."""
    found = one(form, "version")
    return f'"v{found}"' if found else None


def limits_of(form: TermForm) -> dict[str, Any]:
    """Return the limits as the admin API has them. Raises InvalidRequest."""
    values = form.values
    found: dict[str, Any] = {name: _count(name, values[name], label) for name, label in LIMITS}
    found["budget"] = None
    if values["budget_usd"]:
        try:
            usd = float(values["budget_usd"].removeprefix("$").replace(",", ""))
        except ValueError:
            raise InvalidRequest(
                "The budget must be an amount in dollars, such as 20 or 0.5.", param="budget"
            ) from None
        found["budget"] = {"usd": usd, "window": values["budget_window"] or "month"}
    return found


def terms_of(form: TermForm, now: float) -> dict[str, Any]:
    """Return all that a key may do as the admin API has it. Raises InvalidRequest."""
    values = form.values
    return {
        **limits_of(form),
        "models": _names(values["models"]) or ["*"],
        "team": values["team"] or None,
        "expires_at": _moment(values["expires_at"], now),
        "labels": _labels(values["labels"]),
        **{name: _names(values[name]) for name in _LISTS if name in values},
    }


def converted(fields: Mapping[str, Any], type: type[T]) -> T:
    """Return the fields as a Struct. Raises InvalidRequest, which names the field."""
    try:
        return msgspec.convert(fields, type)
    except msgspec.ValidationError as exc:
        message, where = explained(str(exc))
        field = (where or "").partition(".")[0].partition("[")[0]
        raise InvalidRequest(f"{LABELS.get(field, field)}: {message}", param=field) from exc


def _names(text: str) -> list[str]:
    return [each.strip() for each in re.split(r"[,\n]", text) if each.strip()]


def _count(name: str, text: str, label: str) -> int | None:
    if not text:
        return None
    digits = text.replace(",", "").replace(" ", "")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 16):
        raise InvalidRequest(f"{label} must be a whole number, or empty for none.", param=name)
    return int(digits)


def _moment(text: str, now: float) -> str | None:
    """Return a time as the admin API takes it: given, or so long from now."""
    if not text:
        return None
    if found := _WHILE.fullmatch(text):
        hours = int(found[1]) * _HOURS[found[2]]
        at = datetime.fromtimestamp(int(now), UTC) + timedelta(hours=hours)
        return at.isoformat()
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        raise InvalidRequest(
            "Expires must be a time such as 2027-01-31 or 2027-01-31 18:00 (UTC), or a while from"
            " now such as 90d.",
            param="expires_at",
        ) from None


def _labels(text: str) -> dict[str, str]:
    found = {}
    for line in text.splitlines():
        if line.strip():
            name, equals, value = line.partition("=")
            if not equals or not name.strip():
                raise InvalidRequest("Labels must be NAME=VALUE, one a line.", param="labels")
            found[name.strip()] = value.strip()
    return found


def _shown(at: datetime) -> str:
    try:
        found = at.astimezone(UTC)
    except OverflowError:
        # Before the year 1 or after 9999, in UTC.
        return at.isoformat()
    text = found.isoformat(sep=" ", timespec="microseconds" if found.microsecond else "seconds")
    return text.removesuffix("+00:00").removesuffix(":00")


def _text(value: int | None) -> str:
    return "" if value is None else str(value)
