"""What translates OpenAI's Responses."""

from __future__ import annotations

from ...base import Answer, DialectRequest, ForeignRecipient
from ...canonical.call import CanonicalCall
from ...canonical.fidelity import Fidelity
from ...canonical.translated_stream import EventReader, EventWriter
from ..answer import rewrite_response
from ..request import ResponsesRequest
from ..unstreamed import as_stream
from .call_reader import read_call
from .call_writer import write_call
from .event_reader import ResponseEventReader
from .event_writer import ResponseEventWriter
from .item_writer import family_of


class ResponseTranslator:
    """See `canonical.translation.Translator`."""

    functions_only = False
    cites_documents = False

    def family(self, recipient: ForeignRecipient) -> str:
        return family_of(recipient)

    def read_call(self, request: DialectRequest, fidelity: Fidelity) -> CanonicalCall:
        kept = isinstance(request, ResponsesRequest) and request.kept
        return read_call(request.body, fidelity, kept=kept)

    def write_call(
        self, call: CanonicalCall, recipient: ForeignRecipient, fidelity: Fidelity
    ) -> bytes:
        return write_call(call, recipient, fidelity)

    def takes_stop(self, sequence: str, number: int, recipient: ForeignRecipient) -> bool:
        return False

    def event_reader(self) -> EventReader:
        return ResponseEventReader()

    def event_writer(
        self, request: DialectRequest, model: bytes, family: str, now: float, *, whole: bool
    ) -> EventWriter:
        return ResponseEventWriter(request, model, family, now)

    def as_stream(self, body: bytes) -> bytes:
        return as_stream(body)

    def assemble(self, stream: bytes, model: bytes) -> Answer:
        return rewrite_response(stream, model)
