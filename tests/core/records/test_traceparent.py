from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased
from opentelemetry.trace import TraceState

from gateway.core.records.traceparent import (
    STATE_CHARS,
    Parent,
    Trace,
    begin,
    is_kept,
    new_span_id,
    parse,
    parse_state,
)

TRACE = "12345678901234567890123456789012"
SPAN = "1234567890123456"
SAMPLED = f"00-{TRACE}-{SPAN}-01".encode()
BITS = random.Random(7).getrandbits

hexadecimal = st.sampled_from("0123456789abcdef")


def hexes(length: int) -> st.SearchStrategy[str]:
    return st.text(hexadecimal, min_size=length, max_size=length)


def ids(length: int) -> st.SearchStrategy[str]:
    return hexes(length).filter(lambda text: text.strip("0") != "")


class TestTraceparent:
    def test_the_example_of_the_standard(self) -> None:
        value = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        expected = Parent("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True)
        assert parse(value) == expected

    # Those of W3C's own suite (w3c/trace-context, test/test.py).
    @pytest.mark.parametrize(
        "value",
        [
            SAMPLED + b".",
            SAMPLED + b"-what-the-future-will-be-like",
            b"cc" + SAMPLED[2:] + b".what-the-future-will-be-like",
            b"ff" + SAMPLED[2:],
            b"." + SAMPLED[1:],
            b"0." + SAMPLED[2:],
            b"000" + SAMPLED[2:],
            b"0000" + SAMPLED[2:],
            b"0" + SAMPLED[2:],
            b"00-" + b"0" * 32 + f"-{SPAN}-01".encode(),
            f"00-.{TRACE[1:]}-{SPAN}-01".encode(),
            f"00-{TRACE[:-1]}.-{SPAN}-01".encode(),
            f"00-{TRACE}3-{SPAN}-01".encode(),
            f"00-{TRACE[:-1]}-{SPAN}-01".encode(),
            f"00-{TRACE}-0000000000000000-01".encode(),
            f"00-{TRACE}-.{SPAN[1:]}-01".encode(),
            f"00-{TRACE}-{SPAN}7-01".encode(),
            f"00-{TRACE}-{SPAN[:-1]}-01".encode(),
            f"00-{TRACE}-{SPAN}-.0".encode(),
            f"00-{TRACE}-{SPAN}-0.".encode(),
            f"00-{TRACE}-{SPAN}-001".encode(),
            f"00-{TRACE}-{SPAN}-1".encode(),
            f"00-{'A' * 32}-{SPAN}-01".encode(),
            f"00-{TRACE}-{'B' * 16}-01".encode(),
            f"0A-{TRACE}-{SPAN}-01".encode(),
            f"00-{TRACE}-{SPAN}-0A".encode(),
            SAMPLED + b"\n",
            b"\x00" + SAMPLED,
            SAMPLED.replace(b"-", b"_"),
            b"",
            b"00",
            b"-" * 55,
            b"\xff" * 55,
        ],
    )
    def test_one_that_is_invalid_is_ignored(self, value: bytes) -> None:
        assert parse(value) is None

    @pytest.mark.parametrize("value", [b" " + SAMPLED, b"\t" + SAMPLED, b"\t " + SAMPLED + b" \t"])
    def test_white_space_around_it_is_not_part_of_it(self, value: bytes) -> None:
        assert parse(value) == Parent(TRACE, SPAN, sampled=True)

    @given(hexes(2), ids(32), ids(16), hexes(2))
    def test_only_the_version_can_be_wrong(
        self, version: str, trace: str, span: str, flags: str
    ) -> None:
        found = parse(f"{version}-{trace}-{span}-{flags}".encode())
        if version == "ff":
            assert found is None
        else:
            assert found == Parent(trace, span, sampled=int(flags, 16) % 2 == 1)

    @given(st.integers(1, 254), st.binary(max_size=20))
    def test_a_later_version_may_add_behind_a_dash(self, version: int, rest: bytes) -> None:
        value = f"{version:02x}".encode() + SAMPLED[2:] + b"-" + rest
        assert parse(value) == Parent(TRACE, SPAN, sampled=True)

    @given(st.binary(max_size=80))
    def test_anything_may_come(self, value: bytes) -> None:
        assert parse(value) is None or len(value) >= 55

    @given(st.integers(0, 54), st.integers(0, 255))
    def test_each_byte_counts(self, index: int, byte: int) -> None:
        changed = SAMPLED[:index] + bytes([byte]) + SAMPLED[index + 1 :]
        found = parse(changed)
        if re.fullmatch(rb"(?!ff)[0-9a-f]{2}(-[0-9a-f]+){3}", changed):
            assert found is not None
            rendered = f"{found.trace_id}-{found.span_id}".encode()
            assert rendered == changed[3:52]
        else:
            assert found is None


entries = st.from_regex(
    r"([a-z][_0-9a-z*/-]{0,9}|[a-z0-9][_0-9a-z*/-]{0,9}@[a-z][_0-9a-z*/-]{0,9})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,9}[\x21-\x2b\x2d-\x3c\x3e-\x7e]",
    fullmatch=True,
)


class TestTracestate:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (b"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
            (b"foo=1 \t , \t bar=2, \t baz=3", "foo=1,bar=2,baz=3"),
            (b" foo=1\t", "foo=1"),
            (b"foo=1,,\t,bar=2,", "foo=1,bar=2"),
            (b"", ""),
            (b" ", ""),
            (b"33@nr=0-0-1", "33@nr=0-0-1"),
            (b"a= b ", "a= b"),
            # Invalid ones are dropped whole.
            (b"foo=1,foo=1", ""),
            (b"foo=1,foo=2", ""),
            (b"foo =1", ""),
            (b"FOO=1", ""),
            (b"foo.bar=1", ""),
            (b"foo@=1,bar=2", ""),
            (b"@foo=1,bar=2", ""),
            (b"foo@@bar=1,bar=2", ""),
            (b"foo@bar@baz=1,bar=2", ""),
            (b"foo", ""),
            (b"foo=", ""),
            (b"foo=bar=baz", ""),
            (b"foo=b\xc3\xa4r", ""),
            (b"foo=1\r\nx-evil: 1", ""),
            (b"a" * 257 + b"=1", ""),
            (b"a=" + b"1" * 257, ""),
        ],
    )
    def test_it_is_kept_if_it_is_sane(self, value: bytes, expected: str) -> None:
        assert parse_state(value) == expected

    def test_there_are_32_entries_at_most(self) -> None:
        pieces = [f"k{number}=1" for number in range(33)]
        assert parse_state(",".join(pieces[:32]).encode()) == ",".join(pieces[:32])
        assert parse_state(",".join(pieces).encode()) == ""

    @given(st.lists(entries, max_size=32, unique_by=lambda entry: entry.partition("=")[0]))
    def test_it_comes_out_as_it_went_in(self, pieces: list[str]) -> None:
        value = ",".join(pieces)
        found = parse_state(value.encode())
        if len(value) <= STATE_CHARS:
            assert found == value
        else:
            assert len(found) <= STATE_CHARS
            assert found.split(",") == [piece for piece in pieces if piece in found.split(",")]

    @given(st.lists(entries, max_size=32, unique_by=lambda entry: entry.partition("=")[0]))
    def test_the_sdk_takes_what_we_take(self, pieces: list[str]) -> None:
        found = [
            piece.partition("=") for piece in parse_state(",".join(pieces).encode()).split(",")
        ]
        state = TraceState([(key, value) for key, _, value in found if key])
        assert len(state) == len([key for key, _, _ in found if key])

    def test_long_entries_go_first_then_the_last(self) -> None:
        long, first = "long=" + "x" * 200, "first=" + "1" * 100
        others = [f"k{number}={'y' * 96}" for number in range(4)]
        assert parse_state(",".join([first, long, *others]).encode()) == ",".join([first, *others])
        others.append("k4=" + "y" * 96)
        assert parse_state(",".join([first, long, *others]).encode()) == ",".join(
            [first, *others[:4]]
        )

    def test_exactly_so_much_is_passed_on(self) -> None:
        pieces = [f"k{number}={'y' * 99}" for number in range(4)]
        value = ",".join([*pieces, "z=" + "y" * (STATE_CHARS - 4 * 103 - 2)])
        assert len(value) == STATE_CHARS
        assert parse_state(value.encode()) == value
        assert parse_state(value.encode() + b"y") == ",".join(pieces)

    @given(st.binary(max_size=100))
    def test_anything_may_come(self, value: bytes) -> None:
        assert re.fullmatch(r"[\x20-\x7e]*", parse_state(value))


class TestBegin:
    def test_without_a_caller_a_trace_begins(self) -> None:
        trace = begin([(b"host", b"x")], BITS, 1.0)
        assert re.fullmatch("[0-9a-f]{32}", trace.trace_id)
        assert re.fullmatch("[0-9a-f]{16}", trace.span_id)
        assert trace.parent_id is None
        assert trace.sampled
        assert begin([], BITS, 1.0).trace_id != trace.trace_id

    def test_a_callers_trace_goes_on(self) -> None:
        pairs = [(b"traceparent", SAMPLED), (b"host", b"x"), (b"tracestate", b"a=1")]
        trace = begin(pairs, BITS, 0.0)
        assert trace == Trace(TRACE, trace.span_id, SPAN, True, "a=1")
        assert trace.span_id != SPAN

    def test_the_callers_word_on_sampling_holds(self) -> None:
        assert not begin([(b"traceparent", SAMPLED[:-1] + b"0")], BITS, 1.0).sampled
        assert not begin([(b"traceparent", SAMPLED[:-1] + b"2")], BITS, 1.0).sampled
        assert begin([(b"traceparent", SAMPLED[:-1] + b"3")], BITS, 0.0).sampled

    def test_several_tracestates_are_one(self) -> None:
        pairs = [(b"tracestate", b"a=1,b=2"), (b"traceparent", SAMPLED), (b"tracestate", b"")]
        pairs += [(b"tracestate", b"c=3")]
        assert begin(pairs, BITS, 1.0).state == "a=1,b=2,c=3"

    def test_two_traceparents_are_none(self) -> None:
        other = SAMPLED.replace(b"12-", b"13-", 1)
        for second in (other, SAMPLED):
            trace = begin([(b"traceparent", SAMPLED), (b"traceparent", second)], BITS, 1.0)
            assert trace.parent_id is None
            assert trace.trace_id != TRACE

    def test_a_tracestate_means_nothing_alone(self) -> None:
        assert begin([(b"tracestate", b"a=1")], BITS, 1.0).state == ""
        bad = [(b"traceparent", b"ff" + SAMPLED[2:]), (b"tracestate", b"a=1")]
        assert begin(bad, BITS, 1.0).state == ""

    def test_an_insane_tracestate_takes_nothing_else_with_it(self) -> None:
        trace = begin([(b"traceparent", SAMPLED), (b"tracestate", b"A=1")], BITS, 1.0)
        assert (trace.trace_id, trace.state) == (TRACE, "")

    def test_no_id_is_all_zeroes(self) -> None:
        trace = begin([], lambda _: 0, 1.0)
        assert trace.trace_id == "1".zfill(32)
        assert trace.span_id == new_span_id(lambda _: 0) == "1".zfill(16)

    @pytest.mark.parametrize(("sample", "low", "high"), [(0, 0, 0), (1, 2000, 2000)])
    def test_all_and_nothing_are_exact(self, sample: float, low: int, high: int) -> None:
        kept = sum(begin([], BITS, sample).sampled for _ in range(2000))
        assert low <= kept <= high

    @given(st.integers(1, (1 << 128) - 1), st.floats(0, 1))
    def test_the_sdk_would_keep_the_same(self, trace_id: int, sample: float) -> None:
        decision = TraceIdRatioBased(sample).should_sample(None, trace_id, "x").decision
        assert is_kept(trace_id, sample) is (decision is Decision.RECORD_AND_SAMPLE)


class TestHeaders:
    def test_a_call_names_its_own_span(self) -> None:
        trace = Trace(TRACE, SPAN, None, True)
        value = f"00-{TRACE}-00f067aa0ba902b7-01".encode()
        assert trace.headers("00f067aa0ba902b7") == ((b"traceparent", value),)

    def test_the_callers_tracestate_goes_along(self) -> None:
        trace = Trace(TRACE, SPAN, None, False, "a=1,b=2")
        assert trace.headers(SPAN) == (
            (b"traceparent", f"00-{TRACE}-{SPAN}-00".encode()),
            (b"tracestate", b"a=1,b=2"),
        )

    @given(st.booleans(), st.lists(entries, max_size=3, unique_by=lambda e: e.partition("=")[0]))
    def test_what_we_send_we_would_take(self, sampled: bool, pieces: list[str]) -> None:
        trace = Trace(TRACE, SPAN, None, sampled, parse_state(",".join(pieces).encode()))
        there = begin(trace.headers("00f067aa0ba902b7"), BITS, 1.0)
        assert (there.trace_id, there.parent_id) == (TRACE, "00f067aa0ba902b7")
        assert (there.sampled, there.state) == (trace.sampled, trace.state)
