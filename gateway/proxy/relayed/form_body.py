"""A form that is passed on with another name of the model in it.

The model decides where a form goes, and its field may stand behind the files (curl's `-F file=...
-F model=...`, openai-node). So what comes before it is kept, in a file if it is more than a little;
once it is known, what was kept is sent and then the rest as it comes in. A form that has come whole
by then can be sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ...core.wire.form_data import FormScanner, FoundField, InvalidForm
from ...errors import InvalidRequest
from .incoming import IncomingBody
from .spool import IN_MEMORY, Spool

FIELD = "model"


class FormBody:
    """The form in `incoming`; `begin` first.

    `live` says that the rest of it is being sent, and `whole` that there is none.
    """

    def __init__(self, incoming: IncomingBody, boundary: bytes, spool: Spool) -> None:
        self.live = self.whole = False
        self._incoming = incoming
        self._scanner = FormScanner(boundary, (FIELD,))
        self._spool = spool
        self._check: Callable[[Iterable[str]], None] | None = None

    def __repr__(self) -> str:
        return f"<FormBody {self._spool}>"

    @property
    def model(self) -> FoundField | None:
        """Return the field with the model's name, once it has come."""
        return self._scanner.fields.get(FIELD)

    @property
    def mark(self) -> bytes:
        """Return how the form begins, which tells it from others well enough."""
        return self._spool.beginning

    async def begin(self) -> None:
        """Take the form until its model is known, and all of it if it is small.

        Raises InvalidRequest, and what the body and the spool raise.
        """
        while self.model is None or self._spool.size < IN_MEMORY:
            piece = await self._incoming.receive_some()
            if not piece:
                self.check_ended()
                self.whole = True
                return
            self.scan(piece)
            await self._spool.write(piece)

    def scan(self, piece: bytes) -> None:
        """Look at the next bytes of the form. Raises InvalidRequest."""
        known = self.model
        checked = len(self._scanner.names)
        try:
            self._scanner.feed(piece)
        except InvalidForm as exc:
            raise InvalidRequest(f"the form cannot be read: {exc}", code="invalid_form") from exc
        assert known is None or self.model is known
        if self._check is not None:
            self._check(self._scanner.names[checked:])

    def allow(self, check: Callable[[Iterable[str]], None]) -> None:
        """Have the names of the fields checked, those that have come and those that will."""
        check(self._scanner.names)
        self._check = check

    def check_ended(self) -> None:
        """Raise InvalidRequest if the body has ended before the form."""
        if not self._scanner.ended:
            raise InvalidRequest("the form ends before its last boundary", code="invalid_form")

    def source(self, name: str) -> NamedForm:
        """Return the body of a call in which the model is called `name`."""
        return NamedForm(self, self._incoming, self._spool, self.model, name.encode())


class NamedForm:
    """A `BodySource`: what was kept of a form, with a model's name, and the rest as it comes in."""

    def __init__(
        self,
        form: FormBody,
        incoming: IncomingBody,
        spool: Spool,
        field: FoundField | None,
        name: bytes,
    ) -> None:
        self._form = form
        self._incoming = incoming
        self._spool = spool
        self._field = field
        self._name = name
        self._at = 0
        self._named = False

    @property
    def length(self) -> int | None:
        length = self._incoming.length
        if length is None or self._field is None:
            return length
        return length + len(self._name) - (self._field.end - self._field.start)

    async def receive_some(self) -> bytes:
        if self._at < self._spool.size:
            return await self._kept()
        if self._form.whole:
            return b""
        self._form.live = True
        piece = await self._incoming.receive_some()
        if piece:
            # A second field with a model would be one that nobody has allowed.
            self._form.scan(piece)
        else:
            self._form.check_ended()
        return piece

    async def _kept(self) -> bytes:
        field = self._field
        if field is not None and self._at == field.start and not self._named:
            self._at, self._named = field.end, True
            if self._name:
                return self._name
            return await self.receive_some()
        piece = await self._spool.read(self._at)
        if field is not None and not self._named:
            piece = piece[: field.start - self._at]
        self._at += len(piece)
        return piece
