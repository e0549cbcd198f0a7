"""What a request asks for and an answer says, in no API's words.

Each API has a module here that writes requests and answers, as callers and providers do, and reads
them. None knows any other, nor anything of the gateway's own translation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

Call = tuple[str, str, dict[str, Any]]  # id, name, arguments


@dataclass
class Turn:
    """`images` are URLs, or a media type and base64. `raw` is an answer as it came."""

    role: str  # system, user, assistant, results or raw
    text: str = ""
    images: list[tuple[str, str]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    # Id of the call, text, whether it failed.
    results: list[tuple[str, str, bool]] = field(default_factory=list)
    raw: Any = None


@dataclass
class Asked:
    """A request. `choice` is auto, none, any or the name of a tool."""

    turns: list[Turn]
    tools: list[str] = field(default_factory=list)
    choice: str = ""
    parallel: bool | None = None
    schema: dict[str, Any] | None = None
    thinks: bool = False
    stop: list[str] = field(default_factory=list)
    stream: bool = False

    @property
    def said(self) -> list[tuple[str, str]]:
        return [(turn.role, turn.text) for turn in self.turns if turn.text]

    @property
    def calls(self) -> list[Call]:
        return [call for turn in self.turns for call in turn.calls]

    @property
    def results(self) -> list[tuple[str, str, bool]]:
        return [each for turn in self.turns for each in turn.results]

    @property
    def images(self) -> list[tuple[str, str]]:
        return [image for turn in self.turns for image in turn.images]


@dataclass
class Said:
    """An answer. `usage` is input with what the cache gave, output, and what the cache gave."""

    text: str = ""
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    stop: str = "end"  # or length, calls, sequence, refusal
    usage: tuple[int, int, int] = (19, 10, 0)
    thought: str = ""
    refusal: str = ""
    raw: Any = None


class Spoken(ABC):
    """One API, on both of its ends.

    later_instructions  instructions may stand behind other turns
    url_images          images by their address
    result_images       results of tools with images
    choices             what a caller can say of the tools: `Asked.choice`
    parallel            whether calls at once can be allowed and forbidden
    ids                 calls have ids
    caches              usage says what came from a cache
    stops               stop sequences
    tells_sequence      an answer says that it met one
    refuses             an answer says that the model has refused
    state               what its thinking is signed with, which comes back
    carries             there is a place for the state of other providers
    """

    name: str
    path: str
    streams_as = "text/event-stream; charset=utf-8"
    later_instructions = url_images = result_images = parallel = ids = caches = stops = True
    refuses = carries = True
    tells_sequence = False
    choices: tuple[str, ...] = ("auto", "none", "any", "g")
    state = ""

    def asks(self, model: str, *, stream: bool) -> str:
        """Return the target of a request."""
        return self.path

    def chosen(self, choice: str, tools: list[str]) -> tuple[str, list[str]] | None:
        """Return how a provider is told `choice`, and which tools; None: that is refused."""
        return choice, tools

    @abstractmethod
    def request(self, asked: Asked) -> dict[str, Any]: ...

    @abstractmethod
    def asked(self, body: dict[str, Any]) -> Asked: ...

    @abstractmethod
    def answer(self, said: Said) -> dict[str, Any]: ...

    @abstractmethod
    def events(self, said: Said) -> list[bytes]: ...

    @abstractmethod
    def said(self, answer: dict[str, Any]) -> Said:
        """Read a whole answer, by the official SDK's own types where it is at hand."""

    @abstractmethod
    def streamed(self, body: bytes) -> Said:
        """Read a stream in the same way."""

    @abstractmethod
    def error(self, message: str, *, too_long: bool = False) -> dict[str, Any]:
        """Return a refusal of a provider."""

    @abstractmethod
    def told(self, body: dict[str, Any]) -> tuple[str, bool]:
        """Return what an error says, and whether it says in the API's way that it is too long."""

    @abstractmethod
    def broken(self, message: str) -> bytes:
        """Return the event by which a provider ends a stream badly."""

    @abstractmethod
    def breaks(self, body: bytes) -> str | None:
        """Return what the last event of a stream says went wrong; None if it ended well."""

    @abstractmethod
    def call_id(self, raw: Any) -> str:
        """Return what a result of the first call of an answer names it by."""


def data_of(body: bytes) -> list[str]:
    """Return the data of each event of a stream."""
    blocks = body.decode().split("\n\n")
    lines = [line for block in blocks for line in block.split("\n")]
    return [line.removeprefix("data:").strip() for line in lines if line.startswith("data:")]
