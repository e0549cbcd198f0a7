"""After the commit: deadlines, keep-alive, back-pressure, and how a stream ends."""

from __future__ import annotations

from collections.abc import Container

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gateway.config.listener.server import Server
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.routing.timeouts import Timeouts
from gateway.proxy.attempts import relay
from gateway.proxy.attempts.reading.grace import DONE_GRACE, END_GRACE, LAST_MOMENT, USAGE_GRACE
from gateway.proxy.attempts.relay import CHUNKS_IN_FLIGHT
from gateway.transport_errors import ConnectionLost, LocalShortage, ProtocolViolation

from ..scripts import DONE, EOF, ROLE, STALL, STOP, TOTALS, Head, ScriptedClient, Step, chunk
from ..world import World, body, deployment

LOST = ConnectionLost("reset by peer")


@pytest.fixture(autouse=True, params=["parts at once", "each by the relay"])
def _parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a caller that takes what needs no wait from the pump, and with one that does not."""
    monkeypatch.setattr(ScriptedClient, "takes_parts", request.param == "parts at once")


def seen(data: bytes) -> bytes:
    return data.replace(b'"real"', b'"m"')


def error_of(world: World) -> dict[str, object]:
    """Return the error of the stream's last event, which nothing may follow."""
    last = world.client.text.removesuffix(b"\n\n").split(b"\n\n")[-1]
    found: dict[str, object] = msgspec.json.decode(last.removeprefix(b"data: "))["error"]
    assert world.client.finished_at is None
    assert b"[DONE]" not in world.client.text
    return found


# How a stream ends...


WHOLE: dict[str, list[Step]] = {
    "in pieces": [(1, STOP), (1, DONE), (0, EOF)],
    "at once": [(0, STOP + DONE), (0, EOF)],
    "without [DONE]": [(1, STOP), (1, EOF)],
    "with totals, without [DONE]": [(1, STOP), (1, TOTALS), (1, EOF)],
    "with more behind [DONE]": [(1, STOP), (0, DONE + chunk("no")), (0, chunk("no")), (0, EOF)],
    "broken behind [DONE]": [(1, STOP), (0, DONE), (0, LOST)],
    "stalled behind [DONE]": [(1, STOP), (0, DONE), (0, STALL)],
}


@pytest.mark.parametrize("end", WHOLE.values(), ids=WHOLE)
async def test_a_whole_stream_ends_with_one_done(
    autojump_clock: MockClock, end: list[Step]
) -> None:
    world = World([("a", [(0, Head()), (0, chunk("hi")), *end])])
    record = await world.run()
    assert world.client.text == seen(chunk("hi") + STOP) + DONE
    assert world.client.finished_at is not None
    assert (record.end_reason, record.error, world.causes) == ("complete", None, ["ok"])
    assert world.health["a/real"].consecutive_failures == 0


@pytest.mark.parametrize("at_once", [True, False])
async def test_the_end_of_the_body_is_awaited_for_a_moment_only(
    autojump_clock: MockClock, *, at_once: bool
) -> None:
    events = [chunk("hi"), STOP, DONE]
    sent: list[Step] = [(0, data) for data in ([b"".join(events)] if at_once else events)]
    late = World([("a", [(0, Head()), *sent, (END_GRACE / 2, EOF)])])
    await late.run()
    assert late.client.finished_at == 0
    assert late.upstream.responses[0].kept
    never = World([("a", [(0, Head()), *sent, (0, STALL)])])
    start = trio.current_time()
    await never.run()
    assert never.client.finished_at == start
    assert never.upstream.responses[0].closed_at == start + END_GRACE
    assert not never.upstream.responses[0].kept


BROKEN: dict[str, tuple[list[Step], str, str]] = {
    "reset": ([(3, LOST)], "upstream_broke", "reset by peer"),
    "bad framing": ([(3, ProtocolViolation("bad chunk"))], "upstream_broke", "bad chunk"),
    "no finish_reason": (
        [(3, EOF)],
        "upstream_broke",
        "the provider ended the stream in the middle",
    ),
    "reset after finish_reason": ([(0, STOP), (3, LOST)], "upstream_broke", "reset by peer"),
    "silence": ([(0, STALL)], "idle_timeout", "the provider sent nothing for 60 s"),
    "huge event": (
        [(3, b"data: " + b"x" * 2000), (0, STALL)],
        "upstream_broke",
        "an event is larger than 1024 bytes",
    ),
}


@pytest.mark.parametrize(("end", "code", "message"), BROKEN.values(), ids=BROKEN)
async def test_a_broken_stream_ends_with_an_error_and_no_done(
    autojump_clock: MockClock, end: list[Step], code: str, message: str
) -> None:
    server = Server(max_event_bytes=1024, keep_alive_comment=0)
    steps: list[Step] = [(2, Head()), (0, chunk("hi")), (1, chunk("there")), *end]
    world = World([("a", steps)], routes=["a", "b"], server=server)
    record = await world.run()
    assert world.client.status == 200
    assert world.client.text.startswith(seen(chunk("hi") + chunk("there")))
    assert error_of(world) == {
        "message": message,
        "type": "upstream_error",
        "param": None,
        "code": code,
    }
    assert (record.end_reason, record.error, record.status) == (code, message, 200)
    assert record.attempts[0].error == message
    assert world.causes == ["idle_timeout" if code == "idle_timeout" else "truncated"]
    assert world.health["a/real"].consecutive_failures == 1
    assert world.upstream.responses[0].closed_at == trio.current_time()


async def test_a_provider_s_own_error_event_is_relayed(autojump_clock: MockClock) -> None:
    words = b'data: {"error":{"message":"boom","n":1}}\n\n'
    world = World([("a", [(0, Head()), (0, chunk("hi")), (1, words), (0, STALL)])])
    record = await world.run()
    assert world.client.text == seen(chunk("hi")) + words
    assert world.client.finished_at is None
    assert (record.end_reason, world.causes) == ("upstream_broke", ["truncated"])
    assert trio.current_time() == 1


async def test_our_own_shortage_is_not_held_against_the_provider(
    autojump_clock: MockClock,
) -> None:
    short = LocalShortage("no buffer space")
    world = World([("a", [(0, Head()), (0, chunk("hi")), (1, short)])])
    record = await world.run()
    assert (record.end_reason, world.causes) == ("upstream_broke", ["local_shortage"])
    assert error_of(world)["message"] == "no buffer space"
    assert world.health["a/real"].consecutive_failures == 0


async def test_usage_of_a_broken_stream_is_still_paid_for(autojump_clock: MockClock) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 1}
    world = World([("a", [(0, Head()), (0, chunk("hi", usage=usage)), (1, LOST)])])
    record = await world.run()
    assert (record.input_tokens, record.output_tokens) == (10, 1)
    assert record.cost_nano_usd == 10 * 2_000 + 8_000


# Deadlines...


async def test_any_byte_ends_the_idle_silence(autojump_clock: MockClock) -> None:
    steps: list[Step] = [
        (0, Head()),
        (0, chunk("hi")),
        (59, b": still thinking\n\n"),
        (59, b"data:"),
        (59, b" [DONE]\n\n"),
        (0, EOF),
    ]
    world = World([("a", steps)], server=Server(keep_alive_comment=0))
    record = await world.run()
    assert record.end_reason == "complete"
    assert trio.current_time() == 177


async def test_idle_fires_exactly(autojump_clock: MockClock) -> None:
    steps: list[Step] = [(0, Head()), (0, chunk("hi")), (4, chunk("there")), (0, STALL)]
    world = World([("a", steps)], timeouts=Timeouts(idle=7))
    record = await world.run()
    assert trio.current_time() == 11
    assert record.end_reason == "idle_timeout"


async def test_total_cuts_a_stream_that_never_stops(autojump_clock: MockClock) -> None:
    steps: list[Step] = [(0, Head()), *[(1, chunk("and"))] * 100, (0, STALL)]
    world = World([("a", steps)], timeouts=Timeouts(total=10.5))
    record = await world.run()
    assert trio.current_time() == 10.5
    assert (record.end_reason, world.causes) == ("total_timeout", ["total_timeout"])
    assert error_of(world)["code"] == "total_timeout"
    assert record.error == "the request took more than 10.5 s"
    # It has talked all the time: how much of it is too much is not its fault.
    assert world.health["a/real"].consecutive_failures == 0
    assert record.events == 10


async def test_total_cuts_a_caller_who_reads_slowly(autojump_clock: MockClock) -> None:
    steps: list[Step] = [(0, Head()), (0, chunk("hi")), (0, STOP), (0, DONE), (0, EOF)]
    client = ScriptedClient(body(), pauses={1: 29})
    world = World([("a", steps)], timeouts=Timeouts(total=10), client=client)
    record = await world.run()
    assert trio.current_time() == 10
    assert record.end_reason == "total_timeout"


@pytest.mark.parametrize("number", [0, 1, 2, 3])
async def test_a_caller_who_reads_nothing_is_dropped(
    autojump_clock: MockClock, number: int
) -> None:
    steps: list[Step] = [
        (1, Head()),
        (0, chunk("hi")),
        (1, chunk("there")),
        (1, STOP),
        (1, DONE),
        (0, EOF),
    ]
    client = ScriptedClient(body(), stalls=number)
    world = World([("a", steps)], client=client)
    record = await world.run()
    assert trio.current_time() == 1 + max(0, number - 1) + 30
    assert record.end_reason == "send_timeout"
    assert record.error == "the client took nothing for 30 s"
    # That the caller reads nothing is not the provider's fault.
    assert world.causes == ["client_gone"]
    assert world.health["a/real"].consecutive_failures == 0
    assert client.finished_at is None


async def test_a_caller_who_reads_no_whole_answer_is_dropped(autojump_clock: MockClock) -> None:
    from ..scripts import answer

    client = ScriptedClient(body(stream=False), stalls=1)
    world = World([("a", answer())], client=client)
    record = await world.run()
    assert trio.current_time() == 30
    assert (record.end_reason, record.cost_nano_usd) == ("send_timeout", 300_000)
    assert world.upstream.responses[0].closed_at == 0


# Keep-alive...


async def test_silence_is_broken_by_comments(autojump_clock: MockClock) -> None:
    steps: list[Step] = [
        (40, Head()),
        (0, ROLE),
        (0, chunk("hi")),
        (50, chunk("there")),
        (26, STOP),
        (0, DONE),
        (0, EOF),
    ]
    world = World([("a", steps)])
    await world.run()
    comments = [at for at, data in world.client.sent if data == OPENAI_CHAT.keep_alive]
    # None before the commit at 40, and the count starts anew at each event.
    assert comments == [55, 70, 85, 105]
    assert world.client.text.replace(OPENAI_CHAT.keep_alive, b"") == (
        seen(ROLE + chunk("hi") + chunk("there") + STOP) + DONE
    )


async def test_comments_can_be_switched_off(autojump_clock: MockClock) -> None:
    steps: list[Step] = [(0, Head()), (0, chunk("hi")), (59, STOP), (59, DONE), (0, EOF)]
    world = World([("a", steps)], server=Server(keep_alive_comment=0))
    await world.run()
    assert OPENAI_CHAT.keep_alive not in world.client.text


async def test_comments_come_between_events_of_any_split(autojump_clock: MockClock) -> None:
    there = chunk("there")
    steps: list[Step] = [(0, Head()), (0, chunk("hi")), (10, there[:20]), (20, there[20:])]
    world = World([("a", [*steps, (0, STOP), (0, DONE), (0, EOF)])])
    await world.run()
    assert (
        world.client.text == seen(chunk("hi")) + OPENAI_CHAT.keep_alive + seen(there + STOP) + DONE
    )


async def test_an_event_that_comes_just_as_a_comment_is_due_is_not_lost(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline passes between the pump's handing over and the relay's waking up."""
    steps: list[Step] = [(0, Head()), (0, chunk("hi")), (14, chunk("there")), (1, STOP)]
    world = World([("a", [*steps, (0, DONE), (0, EOF)])])
    receive = relay.Relay._read

    async def read(self: relay.Relay, chunks: object) -> None:
        response = self._response

        class Late:
            async def receive_some(self) -> bytes:
                data = await response.receive_some()
                if b"there" in data:
                    autojump_clock.jump(1)
                return data

            async def aclose(self) -> None:
                await response.aclose()

        self._response = Late()  # type: ignore[assignment]
        await receive(self, chunks)  # type: ignore[arg-type]

    monkeypatch.setattr(relay.Relay, "_read", read)
    await world.run()
    assert world.client.text == seen(chunk("hi") + chunk("there") + STOP) + DONE


async def test_no_comment_interrupts_the_end(autojump_clock: MockClock) -> None:
    # No [DONE], and the caller takes a minute for the last write.
    steps: list[Step] = [(0, Head()), (0, chunk("hi")), (1, STOP), (1, EOF)]
    client = ScriptedClient(body(), pauses={3: 20})
    world = World([("a", steps)], client=client)
    record = await world.run()
    assert client.text == seen(chunk("hi") + STOP) + DONE
    assert client.finished_at == 22
    assert record.end_reason == "complete"


# Back-pressure...


async def test_a_caller_who_pauses_stops_the_provider(autojump_clock: MockClock) -> None:
    events = [chunk(str(number)) for number in range(20)]
    steps: list[Step] = [(0, Head()), (0, chunk("hi")), *[(1, each) for each in events]]
    # The caller takes 200 s, over three times `idle`, for the first event after the first.
    client = ScriptedClient(body(), pauses={2: 200})
    world = World([("a", [*steps, (0, STOP), (0, DONE), (0, EOF)])], client=client)

    async def look() -> None:
        await trio.sleep(150)
        taken = len(world.upstream.responses[0].taken)
        # Two have been written, the channel is full, and the pump holds one.
        assert taken == 2 + CHUNKS_IN_FLIGHT + 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        record = await world.run()
    assert record.end_reason == "complete"
    assert client.text == seen(chunk("hi") + b"".join(events) + STOP) + DONE
    # What waited went out in one write.
    assert client.sent[2][0] == 201
    waited = seen(b"".join(events[1 : 1 + CHUNKS_IN_FLIGHT]))
    assert client.sent[2][1].startswith(waited)
    assert len(client.sent) < len(steps)


async def test_the_idle_clock_starts_again_after_a_pause(autojump_clock: MockClock) -> None:
    events: list[Step] = [(0, chunk(str(number))) for number in range(8)]
    client = ScriptedClient(body(), pauses={2: 100})
    world = World([("a", [(0, Head()), (0, chunk("hi")), *events, (0, STALL)])], client=client)
    record = await world.run()
    assert record.end_reason == "idle_timeout"
    assert trio.current_time() == 160


# Silence behind the end of an answer...

TEXT = chunk("hi")
GRACES: dict[str, tuple[list[Step], float]] = {
    "usage came": ([(1, STOP), (1, TOTALS), (0, STALL)], 2 + DONE_GRACE),
    "usage came with the end": (
        [(1, chunk(finish="stop", usage={"prompt_tokens": 1, "completion_tokens": 1})), (0, STALL)],
        1 + DONE_GRACE,
    ),
    "usage is awaited": ([(1, STOP), (0, STALL)], 1 + USAGE_GRACE),
    "usage comes late": ([(1, STOP), (4, TOTALS), (0, STALL)], 5 + DONE_GRACE),
    "pings": (
        [(1, STOP), (1, TOTALS), *[(0.4, b": ping\n\n")] * 9, (0, STALL)],
        2 + DONE_GRACE,
    ),
    "pings with data": (
        [(1, STOP), (1, TOTALS), *[(0.4, b'data: {"choices":[]}\n\n')] * 9, (0, STALL)],
        2 + DONE_GRACE,
    ),
    "content behind the end": (
        [(1, STOP), (0, TOTALS), (0.5, TEXT), (0, STALL)],
        1.5 + DONE_GRACE,
    ),
}


@pytest.mark.parametrize(("end", "at"), GRACES.values(), ids=GRACES)
async def test_a_finished_stream_is_ended_after_a_grace(
    autojump_clock: MockClock, end: list[Step], at: float
) -> None:
    world = World([("a", [(0, Head()), (0, TEXT), *end])])
    record = await world.run()
    assert world.client.finished_at == pytest.approx(at)
    assert trio.current_time() == pytest.approx(at)
    assert world.client.text.endswith(DONE)
    assert (record.end_reason, record.error, world.causes) == ("complete", None, ["ok"])
    assert world.upstream.responses[0].closed_at == pytest.approx(at)
    assert world.health["a/real"].consecutive_failures == 0


async def test_usage_that_was_not_asked_for_is_not_awaited(autojump_clock: MockClock) -> None:
    silent = msgspec.structs.replace(deployment("a"), stream_usage=False)
    steps: list[Step] = [(0, Head()), (0, TEXT), (1, STOP), (0, STALL)]
    world = World([("a", steps)], routes=[silent])
    await world.run()
    assert world.client.finished_at == 1 + DONE_GRACE


@pytest.mark.parametrize("timeouts", [Timeouts(idle=0.5), Timeouts(total=2), Timeouts(total=1.05)])
async def test_other_deadlines_do_not_break_what_is_finished(
    autojump_clock: MockClock, timeouts: Timeouts
) -> None:
    steps: list[Step] = [(0, Head()), (0, TEXT), (0.4, STOP), (0.4, b": hi\n\n"), (0, STALL)]
    world = World([("a", steps)], timeouts=timeouts)
    record = await world.run()
    assert record.end_reason == "complete"
    expected = 1.3 if timeouts.idle == 0.5 else timeouts.total - LAST_MOMENT
    assert world.client.finished_at == pytest.approx(expected)


async def test_what_came_while_the_caller_was_slow_counts(autojump_clock: MockClock) -> None:
    # The write of the finish_reason takes longer than the grace; usage came meanwhile.
    steps: list[Step] = [(0, Head()), (0, TEXT), (1, STOP), (1, TOTALS), (0, STALL)]
    client = ScriptedClient(body(), pauses={2: 20})
    world = World([("a", steps)], client=client)
    record = await world.run()
    assert (record.end_reason, record.input_tokens) == ("complete", 100)
    assert client.finished_at == 21 + DONE_GRACE


async def test_a_second_choice_is_awaited(autojump_clock: MockClock) -> None:
    second = chunk("there").replace(b'"index":0', b'"index":1')
    end = STOP.replace(b'"index":0', b'"index":1')
    client = ScriptedClient(body(n=2))
    steps: list[Step] = [(0, Head()), (0, TEXT), (1, STOP), (30, second), (1, end), (0, STALL)]
    world = World([("a", steps)], client=client)
    record = await world.run()
    assert record.end_reason == "complete"
    assert client.finished_at == 32 + USAGE_GRACE
    cut = World([("a", [*steps[:4], (1, EOF)])], client=ScriptedClient(body(n=2)))
    record = await cut.run()
    assert record.end_reason == "upstream_broke"
    assert DONE not in cut.client.text


# The last event, and those that cannot be read...


@pytest.mark.parametrize("line_ends", [b"", b"\n"])
async def test_a_last_event_without_its_blank_line_is_sent(
    autojump_clock: MockClock, line_ends: bytes
) -> None:
    last = STOP.removesuffix(b"\n\n") + line_ends
    for at_once in (False, True):
        sent: list[Step] = [(0, TEXT + last)] if at_once else [(0, TEXT), (1, last)]
        world = World([("a", [(0, Head()), *sent, (0, EOF)])])
        record = await world.run()
        assert world.client.text == seen(TEXT + STOP) + DONE
        assert record.end_reason == "complete"
    usage = TOTALS.removesuffix(b"\n\n") + line_ends
    world = World([("a", [(0, Head()), (0, TEXT), (0, STOP), (0, usage), (0, EOF)])])
    record = await world.run()
    assert (record.end_reason, record.input_tokens) == ("complete", 100)


async def test_what_a_lost_connection_leaves_is_not_sent(autojump_clock: MockClock) -> None:
    last = STOP.removesuffix(b"\n\n")
    world = World([("a", [(0, Head()), (0, TEXT), (1, last), (0, LOST)])])
    record = await world.run()
    assert last not in world.client.text
    assert record.end_reason == "upstream_broke"


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"choices":[{"delta":{"content":"\xc3"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"a"},"logprobs":-Infinity}]}\n\n',
        b'data: {"choices":[{"delta":{"cont\n\n',
    ],
)
async def test_an_event_that_cannot_be_read_is_told(
    autojump_clock: MockClock, event: bytes
) -> None:
    steps: list[Step] = [(0, Head()), (0, TEXT), (1, event), (1, STOP), (0, DONE), (0, EOF)]
    world = World([("a", steps)])
    record = await world.run()
    message = "the provider sent an event that cannot be read"
    assert error_of(world)["message"] == message
    assert (record.end_reason, record.error) == ("upstream_broke", message)
    assert record.malformed_events == 1
    assert world.causes == ["truncated"]


# What the pump sends itself...


@pytest.mark.parametrize("tears", [(), {1}, {2}, {1, 2, 3}, range(1, 100)])
@pytest.mark.parametrize("end", WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("pause", [0, 1])
async def test_what_the_socket_takes_in_part_comes_whole_and_in_order(
    autojump_clock: MockClock, end: list[Step], tears: Container[int], pause: float
) -> None:
    pieces: list[Step] = [(pause, chunk(f"piece {number}")) for number in range(6)]
    client = ScriptedClient(body(), tears=tears)
    world = World([("a", [(0, Head()), (0, chunk("hi")), *pieces, *end])], client=client)
    record = await world.run()
    expected = b"".join(data for _, data in pieces if isinstance(data, bytes))
    assert client.text == seen(chunk("hi") + expected + STOP) + DONE
    assert (record.end_reason, client.faults) == ("complete", [])


@pytest.mark.parametrize("tears", [(), {2}, {3}, {2, 3}])
async def test_a_broken_stream_ends_behind_what_was_torn(
    autojump_clock: MockClock, tears: Container[int]
) -> None:
    client = ScriptedClient(body(), tears=tears)
    steps: list[Step] = [(0, Head()), *[(1, chunk(text)) for text in "abc"], (1, LOST)]
    world = World([("a", steps)], client=client)
    await world.run()
    shown = seen(b"".join(map(chunk, "abc")))
    assert client.text.startswith(shown)
    assert error_of(world)["code"] == "upstream_broke"
    assert client.faults == []


async def test_what_was_torn_is_sent_before_more_comes(autojump_clock: MockClock) -> None:
    client = ScriptedClient(body(), tears={2})
    steps: list[Step] = [(0, Head()), (0, chunk("a")), (1, chunk("b")), (5, STOP), (0, DONE)]
    world = World([("a", [*steps, (0, EOF)])], client=client)
    await world.run()
    times = {round(at): client.text for at, _ in client.sent}
    assert 1 in times
    whole = b"".join(data for at, data in client.sent if at < 2)
    assert whole == seen(chunk("a") + chunk("b"))


async def test_comments_come_when_the_pump_has_been_quiet(autojump_clock: MockClock) -> None:
    pieces: list[Step] = [(1.5, chunk("b"))] * 3
    steps: list[Step] = [(0, Head()), (0, chunk("a")), *pieces, (5, STOP), (0, EOF)]
    start = trio.current_time()
    world = World([("a", steps)], server=Server(keep_alive_comment=2))
    await world.run()
    comments = [round(at - start, 1) for at, data in world.client.sent if data.startswith(b":")]
    assert comments == [6.5, 8.5]
