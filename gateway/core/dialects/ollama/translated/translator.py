"""What translates Ollama's chats and prompts."""

from __future__ import annotations

from ...base import Answer, DialectRequest, ForeignRecipient
from ...canonical.call import CanonicalCall
from ...canonical.fidelity import Fidelity
from ...canonical.translated_stream import EventReader, EventWriter
from ..answer import LINE
from ..lines import as_lines, in_one
from .call_reader import read_call
from .call_writer import family_of, write_call
from .event_reader import OllamaEventReader
from .event_writer import OllamaEventWriter


class OllamaTranslator:
    """See `canonical.translation.Translator`. `generate`: of prompts, which only callers have."""

    functions_only = True
    cites_documents = False

    def __init__(self, *, generate: bool = False) -> None:
        self._generate = generate

    def family(self, recipient: ForeignRecipient) -> str:
        return family_of(recipient)

    def read_call(self, request: DialectRequest, fidelity: Fidelity) -> CanonicalCall:
        return read_call(request.body, fidelity, generate=self._generate)

    def write_call(
        self, call: CanonicalCall, recipient: ForeignRecipient, fidelity: Fidelity
    ) -> bytes:
        return write_call(call, recipient, fidelity)

    def event_reader(self) -> EventReader:
        return OllamaEventReader()

    def event_writer(
        self, request: DialectRequest, model: bytes, family: str, now: float, *, whole: bool
    ) -> EventWriter:
        return OllamaEventWriter(model, now, generate=self._generate)

    def as_stream(self, body: bytes) -> bytes:
        return as_lines(body)

    def assemble(self, stream: bytes, model: bytes) -> Answer:
        body = in_one(stream)
        return Answer(body, LINE.decode(body).usage)
