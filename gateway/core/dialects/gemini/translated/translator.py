"""What translates Gemini's API."""

from __future__ import annotations

from typing import Final

from ...base import Answer, DialectRequest, ForeignRecipient
from ...canonical.call import CanonicalCall
from ...canonical.fidelity import Fidelity
from ...canonical.translated_stream import EventReader, EventWriter
from ..answer import rewrite_answer
from ..request import ContentRequest
from ..state.signatures import FAMILY
from ..unstreamed import as_stream
from .call_reader import read_call
from .call_writer import write_call
from .event_reader import GeminiEventReader
from .event_writer import GeminiEventWriter
from .option_reader import hides_thoughts

# ai.google.dev/api/generate-content, GenerationConfig: "up to 5 character sequences".
_MOST_STOPS: Final = 5


class GeminiTranslator:
    """See `canonical.translation.Translator`."""

    functions_only = True
    cites_documents = False

    def family(self, recipient: ForeignRecipient) -> str:
        return FAMILY

    def read_call(self, request: DialectRequest, fidelity: Fidelity) -> CanonicalCall:
        assert isinstance(request, ContentRequest)
        return read_call(request, fidelity)

    def write_call(
        self, call: CanonicalCall, recipient: ForeignRecipient, fidelity: Fidelity
    ) -> bytes:
        return write_call(call, recipient, fidelity)

    def takes_stop(self, sequence: str, number: int, recipient: ForeignRecipient) -> bool:
        return bool(sequence) and number < _MOST_STOPS

    def event_reader(self) -> EventReader:
        return GeminiEventReader()

    def event_writer(
        self, request: DialectRequest, model: bytes, family: str, now: float, *, whole: bool
    ) -> EventWriter:
        assert isinstance(request, ContentRequest)
        array = request.array and not whole
        thoughts = not hides_thoughts(request.body)
        return GeminiEventWriter(model, family, array=array, thoughts=thoughts)

    def as_stream(self, body: bytes) -> bytes:
        return as_stream(body)

    def assemble(self, stream: bytes, model: bytes) -> Answer:
        return rewrite_answer(stream, model)
