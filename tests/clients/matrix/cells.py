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
from ...end_to_end.wire import EOF, STALL, Script, framed, stream_head, whole
from .spoken import Asked, Call, Said, Spoken, Turn

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
        self,
        gateway: InProcess,
        provider: Provider,
        caller: Spoken,
        target: Spoken,
        *,
        stream: bool,
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
        last = self.provider.asked[-1]
        sent = last.json
        if "tream" in last.target:
            # It stands in the path.
            sent["stream"] = True
        return reply, sent, record

    async def post(self, asked: Asked) -> Caller:
        asked.stream = self.stream
        model = f"to-{self.target.name}"
        body = self.caller.request(asked)
        if "{model}" not in self.caller.path:
            body |= {"model": model}
        path = self.caller.asks(model, stream=self.stream)
        caller = Caller(self.gateway.port)
        await caller.open()
        await caller.post(json.dumps(body).encode(), target=path)
        return caller

    async def refused(self, asked: Asked) -> None:
        """Hold that the gateway refuses what the provider's API cannot say, and says so."""
        before, kept = len(self.provider.asked), len(self.gateway.records)
        caller = await self.post(asked)
        reply = await caller.reply()
        await caller.stream.aclose()
        assert reply.status == 400, reply
        assert self.caller.told(reply.json)[0]
        assert len(self.provider.asked) == before
        await self.gateway.record(kept + 1)

    @property
    def same(self) -> bool:
        """Say whether both sides speak one API: its bytes go through."""
        return self.caller is self.target

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
            return [*self.parts(self.target.events(said)), (0.0, b"0\r\n\r\n")]
        return [(0.0, whole(200, self.target.answer(said)))]

    def parts(self, events: list[bytes]) -> Script:
        """Return a stream that has begun, in the API's framing."""
        head = stream_head().replace(b"text/event-stream; charset=utf-8", self._kind)
        return [(0.0, head), *((0.0, framed(each)) for each in events)]

    @property
    def _kind(self) -> bytes:
        return self.target.streams_as.encode()


async def text(cell: Cell) -> None:
    got, said, _ = await cell.exchange(Asked([Turn("user", "Grüße \u2028 🙂")]), Said("Fine 🙂"))
    assert got.said == [("user", "Grüße \u2028 🙂")]
    assert (said.text, said.stop) == ("Fine 🙂", "end")


async def system_placement(cell: Cell) -> None:
    turns = [Turn("system", "A"), HELLO, Turn("assistant", "Hi"), Turn("system", "B")]
    turns.append(Turn("user", "Go"))
    in_front = cell.caller.name in ("gemini", "converse")
    if in_front:
        # They have one instruction, in front of all.
        del turns[3]
    got, _, _ = await cell.exchange(Asked(turns), Said("ok"))
    if not in_front and not cell.target.later_instructions and not cell.same:
        turns[3].role = "user"
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
    _hold_calls(cell, got, CALLS, results)
    assert (read.calls, read.stop) == (calls, "calls")
    if not (cell.caller.parallel and cell.target.parallel):
        return  # one of the two cannot say how many at once
    for parallel in (False, True):
        got, _, _ = await cell.exchange(Asked([HELLO], tools=TOOLS, parallel=parallel), Said("ok"))
        # Several at once are what all of them do without a word.
        assert (got.parallel is not False) is parallel


def _hold_calls(cell: Cell, got: Asked, calls: list[Call], results: Turn) -> None:
    """Hold that calls and their results came, each result with its call."""
    if cell.caller.ids and cell.target.ids:
        assert got.calls == calls
        assert got.results == results.results
        return
    assert [each[1:] for each in got.calls] == [each[1:] for each in calls]
    assert [each[1:] for each in got.results] == [each[1:] for each in results.results]
    if cell.target.ids:
        assert [each[0] for each in got.results] == [each[0] for each in got.calls]
    else:
        # Which are named by their tools there.
        assert [each[0] for each in got.results] == [each[1] for each in calls]


async def results(cell: Cell) -> None:
    """Results with a picture, and of calls that failed."""
    failed = Turn("results", results=[("call_a", "no such f", True)])
    turns = [HELLO, Turn("assistant", calls=CALLS[:1]), failed]
    got, _, _ = await cell.exchange(Asked(turns, tools=TOOLS), Said("ok"))
    both = {cell.caller.name, cell.target.name}
    shown = both <= {"messages", "converse", "gemini"}
    assert [each[1:] for each in got.results] == [("no such f", shown)]
    if not cell.caller.result_images:
        return  # its results are text
    seen = Turn("results", images=[DATA], results=[("call_a", "see", False)])
    got, _, _ = await cell.exchange(Asked([*turns[:2], seen], tools=TOOLS), Said("ok"))
    assert ([each[1:] for each in got.results], got.images) == ([("see", False)], [DATA])


async def tool_choice(cell: Cell) -> None:
    for choice in cell.caller.choices:
        asked = Asked([HELLO], tools=TOOLS, choice=choice)
        told = (choice, TOOLS) if cell.same else cell.target.chosen(choice, TOOLS)
        if told is None:
            await cell.refused(asked)
            continue
        got, _, _ = await cell.exchange(asked, Said("ok"))
        assert (got.choice, got.tools) == told


async def images(cell: Cell) -> None:
    by_url = cell.caller.url_images and cell.target.url_images
    pictures = [URL, DATA] if by_url else [DATA]
    turn = Turn("user", "See", images=pictures)
    got, _, _ = await cell.exchange(Asked([turn]), Said("ok"))
    assert (got.images, got.said) == (pictures, [("user", "See")])
    if cell.caller.url_images and not by_url:
        await cell.refused(Asked([Turn("user", "See", images=[URL])]))


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
    if cell.caller.carries or cell.same:
        assert cell.target.state in text


def result_of(cell: Cell, raw: Any) -> Turn:
    return Turn("results", results=[(cell.caller.call_id(raw), "done", False)])


async def stop_reasons(cell: Cell) -> None:
    _, said, _ = await cell.exchange(Asked([HELLO]), Said("Cut sh", stop="length"))
    assert (said.stop, said.text) == ("length", "Cut sh")
    if not (cell.caller.stops and cell.target.stops):
        return
    got, said, _ = await cell.exchange(Asked([HELLO], stop=["END"]), Said("a", stop="sequence"))
    told = cell.caller.tells_sequence and cell.target.tells_sequence
    assert (got.stop, said.stop) == (["END"], "sequence" if told else "end")


async def usage(cell: Cell) -> None:
    """With a cache: one arithmetic, and a cost that is known."""
    cached = 60 if cell.target.caches else 0
    _, said, record = await cell.exchange(Asked([HELLO]), Said("ok", usage=(100, 20, cached)))
    assert said.usage == (100, 20, cached if cell.caller.caches else 0)
    assert (record.input_tokens, record.output_tokens, record.cached_tokens) == (100, 20, cached)
    assert record.cost_nano_usd


async def refusal(cell: Cell) -> None:
    if not cell.target.refuses:
        return  # its answers say no more than their text
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
    reply, _, record = await cell.ask(Asked([HELLO]), [*cell.parts(broken), (0.0, b"0\r\n\r\n")])
    assert "It broke" in (cell.caller.breaks(reply.body) or "")
    assert record.end_reason is EndReason.UPSTREAM_BROKE
    reply, _, record = await cell.ask(Asked([HELLO]), [*cell.parts(begun), (0.0, EOF)])
    assert cell.caller.breaks(reply.body)
    assert record.end_reason is EndReason.UPSTREAM_BROKE


async def cancellation(cell: Cell) -> None:
    """A caller that leaves takes the provider's call with it."""
    kept = len(cell.gateway.records)
    said = Said("Some text that is long enough")
    script: Script = [(0.0, STALL)]
    if cell.stream:
        script = [*cell.parts(cell.target.events(said)[:6]), (0.0, STALL)]
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


def shown(feature: str, caller: Spoken, target: Spoken) -> str:
    """Return what the page says of a feature between two APIs, as the cells above hold it."""
    if caller is target:
        return "yes" if _asks(feature, caller) else "-"
    if not _asks(feature, caller):
        return "-"
    if feature == "images by URL and data" and not (caller.url_images and target.url_images):
        return "data"
    if feature == "forced, no and any tool" and None in (
        target.chosen(choice, TOOLS) for choice in caller.choices
    ):
        return "no force"
    has = {"usage with a cache": target.caches, "refusals": target.refuses}
    return "yes" if has.get(feature, True) else "-"


def _asks(feature: str, caller: Spoken) -> bool:
    """Say whether the caller's API has a word for a feature."""
    has = {"usage with a cache": caller.caches, "forced, no and any tool": bool(caller.choices)}
    return has.get(feature, True)
