"""The features of the matrix: what is asked, what is answered, and what must come of both."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from gateway.core.records.record import EndReason, Record

from ...end_to_end.caller import Caller, Reply
from ...end_to_end.harness import InProcess
from ...end_to_end.provider import Asked as Request
from ...end_to_end.provider import Provider
from ...end_to_end.wire import EOF, STALL, Script, framed, stream_head, streamed, whole
from ..model import ENCRYPTED, SIGNATURE
from .spoken import Api, Asked, Call, Said, Turn

URL: Final = ("url", "https://example.com/a.png")
DATA: Final = ("image/png", "iVBORw0KGgo=")
SCHEMA: Final = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}
CALLS: Final[list[Call]] = [("call_a", "f", {"x": 1, "y": "ä"}), ("call_b", "g", {})]
HELLO: Final = Turn("user", "Hello")
TOOLS: Final = ["f", "g"]


class Cell:
    """One feature between a caller's API and a provider's, streamed or whole."""

    def __init__(
        self, gateway: InProcess, provider: Provider, caller: Api, target: Api, *, stream: bool
    ) -> None:
        self.gateway = gateway
        self.provider = provider
        self.caller = caller
        self.target = target
        self.stream = stream

    async def ask(self, asked: Asked, script: Script) -> tuple[Reply, dict[str, Any], Record]:
        """Return the answer, what the provider was sent, and the record."""
        self.provider.answer = lambda _: script
        before, kept = len(self.provider.asked), len(self.gateway.records)
        caller = await self.post(asked)
        await caller.head()
        body, complete = await caller.rest()
        await caller.stream.aclose()
        record = await self.gateway.record(kept + 1)
        reply = Reply(caller.status, caller.headers, body, complete)
        assert len(self.provider.asked) == before + 1, reply
        return reply, self.provider.asked[-1].json, record

    async def post(self, asked: Asked) -> Caller:
        asked.stream = self.stream
        body = self.caller.request(asked) | {"model": f"to-{self.target.name}"}
        caller = Caller(self.gateway.port)
        await caller.open()
        await caller.post(json.dumps(body).encode(), target=self.caller.path)
        return caller

    async def exchange(self, asked: Asked, said: Said) -> tuple[Asked, Said, Record]:
        """Return how the request came, how the answer came back, and the record."""
        script = self.play(said)
        reply, sent, record = await self.ask(asked, script)
        assert reply.status == 200, reply
        assert reply.complete
        read = self.caller.streamed(reply.body) if self.stream else self.caller.said(reply.json)
        assert record.end_reason is EndReason.COMPLETE, record
        got = self.target.asked(sent)
        assert got.stream is self.stream
        return got, read, record

    def play(self, said: Said) -> Script:
        if self.stream:
            return streamed(self.target.events(said))
        return [(0.0, whole(200, self.target.answer(said)))]


async def text(cell: Cell) -> None:
    got, said, _ = await cell.exchange(Asked([Turn("user", "Grüße \u2028 🙂")]), Said("Fine 🙂"))
    assert got.said == [("user", "Grüße \u2028 🙂")]
    assert (said.text, said.stop) == ("Fine 🙂", "end")


async def system_placement(cell: Cell) -> None:
    turns = [Turn("system", "A"), HELLO, Turn("assistant", "Hi"), Turn("system", "B")]
    turns.append(Turn("user", "Go"))
    got, _, _ = await cell.exchange(Asked(turns), Said("ok"))
    assert got.said == [each for turn in turns for each in [(turn.role, turn.text)]]


async def several_turns(cell: Cell) -> None:
    turns = [Turn(("user", "assistant")[n % 2], f"turn {n}") for n in range(7)]
    got, _, _ = await cell.exchange(Asked(turns), Said("ok"))
    assert got.said == [(turn.role, turn.text) for turn in turns]


async def tools(cell: Cell) -> None:
    said = Said("Wait", calls=[("f", {"x": 1, "y": "ä"})], stop="calls")
    got, read, _ = await cell.exchange(Asked([HELLO], tools=TOOLS), said)
    assert (got.tools, got.choice in ("", "auto")) == (TOOLS, True)
    assert (read.text, read.calls, read.stop) == ("Wait", said.calls, "calls")


async def parallel_tools(cell: Cell) -> None:
    results = Turn("results", results=[("call_a", "one", False), ("call_b", "two", False)])
    turns = [HELLO, Turn("assistant", "Wait", calls=CALLS), results]
    calls = [("g", {}), ("f", {"x": 2}), ("f", {"x": 3})]
    said = Said("", calls=calls, stop="calls")
    got, read, _ = await cell.exchange(Asked(turns, tools=TOOLS), said)
    assert got.calls == CALLS
    assert got.results == results.results
    assert (read.calls, read.stop) == (calls, "calls")
    for parallel in (False, True):
        got, _, _ = await cell.exchange(Asked([HELLO], tools=TOOLS, parallel=parallel), Said("ok"))
        assert got.parallel is parallel


async def results(cell: Cell) -> None:
    """Results with a picture, and of calls that failed."""
    failed = Turn("results", results=[("call_a", "no such f", True)])
    turns = [HELLO, Turn("assistant", calls=CALLS[:1]), failed]
    got, _, _ = await cell.exchange(Asked(turns, tools=TOOLS), Said("ok"))
    assert [each[:2] for each in got.results] == [("call_a", "no such f")]
    if cell.caller.name == cell.target.name == "messages":
        assert got.results[0][2]
    if cell.caller.name == "chat":
        return  # its results are text
    seen = Turn("results", images=[DATA], results=[("call_a", "see", False)])
    got, _, _ = await cell.exchange(Asked([*turns[:2], seen], tools=TOOLS), Said("ok"))
    assert (got.results, got.images) == ([("call_a", "see", False)], [DATA])


async def tool_choice(cell: Cell) -> None:
    for choice in ("auto", "none", "any", "g"):
        got, _, _ = await cell.exchange(Asked([HELLO], tools=TOOLS, choice=choice), Said("ok"))
        assert (got.choice, got.tools) == (choice, TOOLS)


async def images(cell: Cell) -> None:
    turn = Turn("user", "See", images=[URL, DATA])
    got, _, _ = await cell.exchange(Asked([turn]), Said("ok"))
    assert (got.images, got.said) == ([URL, DATA], [("user", "See")])


async def structured_output(cell: Cell) -> None:
    got, said, _ = await cell.exchange(Asked([HELLO], schema=SCHEMA), Said('{"n":1}'))
    assert (got.schema, said.text) == (SCHEMA, '{"n":1}')


async def thinking(cell: Cell) -> None:
    """It is asked for, seen, and goes back to where it comes from as it was."""
    said = Said("Wait", thought="Hm.", calls=[("f", {})], stop="calls")
    got, read, _ = await cell.exchange(Asked([HELLO], tools=TOOLS, thinks=True), said)
    assert got.thinks
    assert (read.thought, read.text, read.stop) == ("Hm.", "Wait", "calls")
    cell.stream, streams = False, cell.stream
    _, read, _ = await cell.exchange(Asked([HELLO], tools=TOOLS, thinks=True), said)
    cell.stream = streams
    turns = [HELLO, Turn("raw", raw=read.raw), result_of(cell, read.raw)]
    again = Asked(turns, tools=TOOLS, thinks=True)
    _, sent, _ = await cell.ask(again, cell.play(Said("ok")))
    text = json.dumps(sent)
    assert "~GATEWAY" not in text
    state = {"messages": SIGNATURE, "responses": ENCRYPTED}.get(cell.target.name)
    assert state is None or state in text


def result_of(cell: Cell, raw: Any) -> Turn:
    if cell.caller.name == "chat":
        id = raw["tool_calls"][0]["id"]
    elif cell.caller.name == "messages":
        id = raw[-1]["id"]
    else:
        id = raw[-1]["call_id"]
    return Turn("results", results=[(id, "done", False)])


async def stop_reasons(cell: Cell) -> None:
    _, said, _ = await cell.exchange(Asked([HELLO]), Said("Cut sh", stop="length"))
    assert (said.stop, said.text) == ("length", "Cut sh")
    if "responses" in (cell.caller.name, cell.target.name):
        return  # which has no stop sequences
    got, said, _ = await cell.exchange(Asked([HELLO], stop=["END"]), Said("a", stop="sequence"))
    both = cell.caller.name == cell.target.name == "messages"
    assert (got.stop, said.stop) == (["END"], "sequence" if both else "end")


async def usage(cell: Cell) -> None:
    """With a cache: one arithmetic, and a cost that is known."""
    _, said, record = await cell.exchange(Asked([HELLO]), Said("ok", usage=(100, 20, 60)))
    assert said.usage == (100, 20, 60)
    assert (record.input_tokens, record.output_tokens, record.cached_tokens) == (100, 20, 60)
    assert record.cost_nano_usd


async def refusal(cell: Cell) -> None:
    said = Said("", refusal="I will not.", stop="refusal")
    _, read, _ = await cell.exchange(Asked([HELLO]), said)
    assert read.stop == "refusal"
    assert "I will not." in read.text + read.refusal


async def errors_before(cell: Cell) -> None:
    for status, too_long in ((400, False), (400, True), (404, False)):
        error = cell.target.error("Bad thing", too_long=too_long)
        reply, _, record = await cell.ask(Asked([HELLO]), [(0.0, whole(status, error))])
        assert reply.status == status
        message, long = cell.caller.told(reply.json)
        assert "Bad thing" in message
        assert long is too_long
        assert record.end_reason is EndReason.PROVIDER_REJECTED


async def errors_inside(cell: Cell) -> None:
    """An error in a stream, and one that just ends."""
    if not cell.stream:
        return
    begun = cell.target.events(Said("Some text that is long enough"))[:6]
    broken = [*begun, cell.target.broken("It broke")]
    reply, _, record = await cell.ask(Asked([HELLO]), [*_parts(broken), (0.0, b"0\r\n\r\n")])
    assert "It broke" in (cell.caller.breaks(reply.body) or "")
    assert record.end_reason is EndReason.UPSTREAM_BROKE
    reply, _, record = await cell.ask(Asked([HELLO]), [*_parts(begun), (0.0, EOF)])
    assert cell.caller.breaks(reply.body)
    assert record.end_reason is EndReason.UPSTREAM_BROKE


async def cancellation(cell: Cell) -> None:
    """A caller that leaves takes the provider's call with it."""
    kept = len(cell.gateway.records)
    said = Said("Some text that is long enough")
    script: Script = [(0.0, STALL)]
    if cell.stream:
        script = [*_parts(cell.target.events(said)[:6]), (0.0, STALL)]
    cell.provider.answer = lambda _: script
    before = len(cell.provider.asked)
    caller = await cell.post(Asked([HELLO]))
    asked: Request = await cell.provider.wait_asked(before + 1)
    if cell.stream:
        await caller.head()
        await caller.until(b"Some")
    await caller.stream.aclose()
    await asked.peer_left.wait()
    record = await cell.gateway.record(kept + 1)
    assert record.end_reason is EndReason.CLIENT_GONE


def _parts(events: list[bytes]) -> list[tuple[float, bytes]]:
    return [(0.0, stream_head()), *((0.0, framed(each)) for each in events)]


FEATURES: Final[dict[str, Callable[[Cell], Awaitable[None]]]] = {
    "text": text,
    "system texts in their places": system_placement,
    "several turns": several_turns,
    "tools": tools,
    "parallel tools and their results": parallel_tools,
    "results with images and errors": results,
    "forced, no and any tool": tool_choice,
    "images by URL and data": images,
    "structured output": structured_output,
    "thinking and its replay": thinking,
    "stop reasons": stop_reasons,
    "usage with a cache": usage,
    "refusals": refusal,
    "errors before the stream": errors_before,
    "errors in the stream": errors_inside,
    "cancellation": cancellation,
}
