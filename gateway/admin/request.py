"""One request of an administrator, and what all of them have in common."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs

import msgspec
import trio
from starlette.requests import Request
from starlette.responses import Response

from ..core.records.audit import ActorKind, AuditAction, AuditEvent, AuditResult
from ..core.wire.bounds.nesting import nested_too_deeply
from ..errors import AuthenticationFailed, InvalidRequest, NotFound, StoreUnavailable
from ..store.engine.database import Database
from .accounts.arrival import Arrival
from .accounts.identity import Identity
from .accounts.sign_ins import SignIns
from .resources import Resources
from .sign_in import RecentlySeen

T = TypeVar("T")

_ENCODE: Final = msgspec.json.Encoder().encode
# The same filters in another order are the same filters.
_CANONICAL: Final = msgspec.json.Encoder(order="deterministic").encode
# An admin who pages through a log, or keeps a page of it open, gets one audit entry in so many
# seconds.
_AGAIN: Final = 60.0
# Seconds for a change, a little more than the database takes to say that it cannot.
_PATIENCE: Final = 15.0


_FORM: Final = "application/x-www-form-urlencoded"
# Far more than any form here has.
_FIELDS: Final = 1000

# How msgspec ends what it says of a value: where that stands, such as `$.limits.rpm` or `$[0]`.
_WHERE: Final = re.compile(r"(.*) - at `\$\.?(.*)`", re.DOTALL)
# And of a field that is absent or unknown, which it names in the sentence instead.
_FIELD: Final = re.compile(r"Object .* field `(.*)`", re.DOTALL)


class AdminRequest:
    """`http` is Starlette's request, whose body was read before and is bounded by the route.

    `visitor` is who asks; None without a sign-in, where the route needs none. `arrival` says where
    the request comes from, and `client_ip` is the address in it, None through a Unix socket.
    """

    def __init__(
        self,
        http: Request,
        resources: Resources,
        visitor: Identity | None,
        arrival: Arrival,
        viewed: RecentlySeen,
    ) -> None:
        self.http = http
        self.resources = resources
        self.visitor = visitor
        self.arrival = arrival
        self.client_ip = arrival.address
        self.now = time.time()
        self.params: dict[str, list[str]] = {}
        for name, value in http.query_params.multi_items():
            self.params.setdefault(name, []).append(value)
        self._viewed = viewed

    @property
    def identity(self) -> Identity:
        """Return who asks. Raises AuthenticationFailed without a sign-in."""
        if self.visitor is None:
            raise AuthenticationFailed("this needs a key of [[admins]] or a session of a user")
        return self.visitor

    @property
    def argument(self) -> str:
        """Return what the path ends with. Raises NotFound if no id can be that."""
        found: str = self.http.path_params["id"]
        if "\0" in found or not _is_unicode(found):
            # PostgreSQL has no text with either.
            raise NotFound(f"there is nothing of {found!r}")
        return found

    @property
    def who(self) -> str | None:
        """Return the name of who asks, as the audit log has it."""
        return None if self.visitor is None else self.visitor.name

    @property
    def if_match(self) -> str | None:
        """Return the versions that a change was made of, as the header has them."""
        found: str | None = self.http.headers.get("if-match")
        return found

    @property
    def sign_ins(self) -> SignIns:
        """Return what knows users and sessions; raises NotFound if there is no database."""
        found = self.resources.sign_ins
        if found is None:
            raise NotFound(
                "there are no users: [store] url of the configuration is empty", code="store_off"
            )
        return found

    @property
    def database(self) -> Database:
        """Return the database; raises NotFound if there is none."""
        if self.resources.database is None:
            raise NotFound(
                "nothing is on record: [store] url of the configuration is empty", code="store_off"
            )
        return self.resources.database

    async def read(self, work: Callable[[Any], object]) -> bytes:
        """Return what `work` makes of a connection, as JSON that was made in its thread."""
        return await self.database.read(lambda connection: _ENCODE(work(connection)))

    async def write(self, work: Callable[[Any], T]) -> T:
        """Do `work` on a connection, in a transaction that a caller who leaves does not cut.

        Raises StoreUnavailable; then it may have been done all the same.
        """
        database = self.database
        with trio.move_on_after(_PATIENCE, shield=True):
            return await database.write(work)
        raise StoreUnavailable("the database takes too long")

    # Parameters...

    def text(self, name: str, default: str, choices: Collection[str] = ()) -> str:
        """Return a parameter; an empty one is not given. Raises InvalidRequest."""
        given = [each for each in self.params.get(name, ()) if each]
        if len(given) > 1:
            raise InvalidRequest(f"{name} can be given once only.", param=name)
        found = given[0] if given else default
        if choices and found not in choices:
            raise InvalidRequest(
                f"{name} must be one of {', '.join(choices)}; it is {found!r}.", param=name
            )
        return found

    def only(self, *names: str) -> None:
        """Refuse every parameter but `names`. Raises InvalidRequest."""
        for name in self.params:
            if name not in names:
                known = ", ".join(names)
                raise InvalidRequest(
                    f"There is no parameter {name!r} here; it takes {known}.", param=name
                )

    def number(self, name: str, default: int) -> int:
        """Return a parameter that is a whole number. Raises InvalidRequest."""
        found = self.text(name, "")
        if not found:
            return default
        if not (found.isascii() and found.isdigit() and len(found) <= 9):
            raise InvalidRequest(f"{name} must be a whole number; it is {found!r}.", param=name)
        return int(found)

    def several(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """Return a parameter that may be repeated, or be divided by commas."""
        found = [part for each in self.params.get(name, ()) for part in each.split(",") if part]
        return tuple(found) or default

    # The body...

    async def json(self, type: type[T]) -> T:
        """Return the body, JSON, as a `type` that msgspec knows, such as a Struct.

        Raises InvalidRequest (400), which names the field that is wrong.
        """
        body = await self.http.body()
        if nested_too_deeply(body):
            raise InvalidRequest("The body is not valid JSON: it is nested too deeply.")
        try:
            return msgspec.json.decode(body, type=type)
        except msgspec.ValidationError as exc:
            message, param = explained(str(exc))
            raise InvalidRequest(message, param=param) from exc
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise InvalidRequest(f"The body is not valid JSON: {exc}.") from exc

    async def form(self) -> dict[str, list[str]]:
        """Return the fields of an HTML form that is sent as browsers do by default, urlencoded.

        Not Starlette's `form`, which needs python-multipart even for this. Raises
        InvalidRequest (400) for another type of body, and for one that is malformed.
        """
        kind = self.http.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != _FORM:
            raise InvalidRequest(f"The body must be a form, of the type {_FORM}.")
        try:
            return parse_qs(
                (await self.http.body()).decode(),
                keep_blank_values=True,
                strict_parsing=True,
                errors="strict",
                max_num_fields=_FIELDS,
            )
        except ValueError as exc:
            raise InvalidRequest("The body is not a well-formed form.") from exc

    # The audit log...

    def audit(
        self, action: AuditAction, result: AuditResult, target: str | None = None, **details: Any
    ) -> None:
        self.resources.audit(self.event(action, result, target, **details))

    def event(
        self, action: AuditAction, result: AuditResult, target: str | None = None, **details: Any
    ) -> AuditEvent:
        """Return what the audit log is to say of something that the admin did."""
        return AuditEvent(
            time=time.time(),
            action=action,
            result=result,
            actor_kind=ActorKind.USER if self.visitor is None else self.visitor.kind,
            actor=self.who,
            client_ip=self.client_ip,
            target=target,
            details=details,
        )

    def viewed(self, what: str) -> None:
        """Put into the audit log that the admin has looked at a log: one entry, not one a page."""
        filters = self.filters
        if self._is_new(what, filters):
            self.audit(AuditAction.LOG_VIEWED, AuditResult.OK, what, filters=filters)

    def viewed_request(self, request_id: str) -> None:
        """Put into the audit log that the admin has looked at one request, not each look at it."""
        if self._is_new("request", request_id):
            self.audit(AuditAction.LOG_VIEWED, AuditResult.OK, "requests", request_id=request_id)

    def viewed_capture(self, request_id: str) -> None:
        if self._is_new("capture", request_id):
            self.audit(AuditAction.CAPTURE_VIEWED, AuditResult.OK, request_id)

    def _is_new(self, what: str, about: object) -> bool:
        # Another request, or other filters, show something else, so they are another look. What
        # was looked at may be long and is remembered for a while: hence its hash.
        digest = hashlib.sha256(_CANONICAL(about)).hexdigest()
        identity = self.identity
        return self._viewed.is_new(identity.kind, identity.name, what, digest)

    @property
    def filters(self) -> dict[str, str]:
        """Return the parameters as they were given, for the audit log."""
        return {
            name: ",".join(values)
            for name, values in self.params.items()
            if any(values) and name not in ("cursor", "track")
        }


def explained(problem: str) -> tuple[str, str | None]:
    """Return msgspec's words on a body as a sentence of ours, and the field it is about."""
    found = _WHERE.fullmatch(problem)
    what, where = (found[1], found[2]) if found else (problem, "")
    if field := _FIELD.fullmatch(what):
        where = f"{where}.{field[1]}" if where else field[1]
    return (f"{where}: {what}." if where else f"The body: {what}."), where or None


def _is_unicode(text: str) -> bool:
    """Say whether `text` is without halves of surrogate pairs, which no UTF-8 has."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def recent_views() -> RecentlySeen:
    return RecentlySeen(_AGAIN)


def json_answer(
    body: bytes, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(body, status, headers, media_type="application/json")


def encoded(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return json_answer(_ENCODE(value), status, headers)
