from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.dialects.openai_chat.usage.reports import UsageReports, read_usage
from gateway.core.records.usage import Usage


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        (b'{"prompt_tokens":7,"completion_tokens":3}', Usage(7, 3)),
        (
            b'{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14,'
            b'"prompt_tokens_details":{"cached_tokens":4,"audio_tokens":0},'
            b'"completion_tokens_details":{"reasoning_tokens":2}}',
            Usage(9, 5, 4, 2),
        ),
        (b'{"prompt_tokens":7}', Usage(7, 0)),
        (b'{"completion_tokens":7}', Usage(0, 7)),
        (b'{"prompt_tokens":7.0,"completion_tokens":1e2}', Usage(7, 100)),
        (b'{"prompt_tokens":7,"completion_tokens":null}', Usage(7, 0)),
        (b'{"prompt_tokens":7,"completion_tokens":"3"}', Usage(7, 3)),
        (b'{"prompt_tokens":"32","completion_tokens":"9","total_tokens":"135"}', Usage(32, 103)),
        (b'{"prompt_tokens":7,"completion_tokens":%b}' % (b"9" * 5000), None),
        # A total alone does not tell at which price it is.
        (b'{"total_tokens":41}', None),
        (b'{"prompt_tokens":0,"completion_tokens":0,"total_tokens":41}', None),
        (b'{"prompt_tokens":7,"prompt_tokens_details":null}', Usage(7, 0)),
        (b'{"prompt_tokens":7,"prompt_tokens_details":[4]}', Usage(7, 0)),
        (b'{"prompt_tokens":7,"prompt_tokens_details":{"cached_tokens":null}}', Usage(7, 0)),
        # xAI and Gemini: reasoning is beside the completion, and in the total.
        (
            b'{"prompt_tokens":32,"completion_tokens":9,"total_tokens":135,'
            b'"completion_tokens_details":{"reasoning_tokens":94}}',
            Usage(32, 103, 0, 94),
        ),
        (b'{"prompt_tokens":32,"completion_tokens":9,"total_tokens":135}', Usage(32, 103)),
        # Others: it is in it.
        (
            b'{"prompt_tokens":500,"completion_tokens":500,"total_tokens":1000,'
            b'"completion_tokens_details":{"reasoning_tokens":200}}',
            Usage(500, 500, 0, 200),
        ),
        # Totals that are too small, or not there: more reasoning than output is beside it.
        (b'{"prompt_tokens":32,"completion_tokens":9,"total_tokens":3}', Usage(32, 9)),
        (
            b'{"prompt_tokens":32,"completion_tokens":9,'
            b'"completion_tokens_details":{"reasoning_tokens":94}}',
            Usage(32, 103, 0, 94),
        ),
        (
            b'{"prompt_tokens":32,"completion_tokens":9,"reasoning_tokens":94}',
            Usage(32, 103, 0, 94),
        ),
        # A report without a prompt.
        (b'{"completion_tokens":9,"total_tokens":41}', Usage(32, 9)),
        # Cached tokens in every spelling.
        (
            b'{"prompt_tokens":1000,"completion_tokens":10,"cached_tokens":900}',
            Usage(1000, 10, 900),
        ),
        (
            b'{"prompt_tokens":1000,"completion_tokens":10,"prompt_cache_hit_tokens":900,'
            b'"prompt_cache_miss_tokens":100}',
            Usage(1000, 10, 900),
        ),
        (b'{"prompt_tokens":1000,"num_cached_tokens":900}', Usage(1000, 0, 900)),
        (
            b'{"input_tokens":1000,"output_tokens":10,"total_tokens":1010,'
            b'"input_tokens_details":{"cached_tokens":900},'
            b'"output_tokens_details":{"reasoning_tokens":4}}',
            Usage(1000, 10, 900, 4),
        ),
        # Anthropic counts them beside its input tokens; gateways in front of it do either.
        (
            b'{"input_tokens":10,"output_tokens":5,"cache_read_input_tokens":900,'
            b'"cache_creation_input_tokens":90}',
            Usage(1000, 5, 900, cache_write_tokens=90),
        ),
        (
            b'{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,'
            b'"cache_read_input_tokens":900,"cache_creation_input_tokens":90}',
            Usage(1000, 5, 900, cache_write_tokens=90),
        ),
        (
            b'{"prompt_tokens":1000,"completion_tokens":5,"total_tokens":1105,'
            b'"cache_read_input_tokens":90,"cache_creation_input_tokens":10}',
            Usage(1100, 5, 90, cache_write_tokens=10),
        ),
        (
            b'{"prompt_tokens":1000,"completion_tokens":5,"total_tokens":1005,'
            b'"cache_read_input_tokens":900,"cache_creation_input_tokens":90}',
            Usage(1000, 5, 900, cache_write_tokens=90),
        ),
        (
            b'{"prompt_tokens":1000,"completion_tokens":5,'
            b'"prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":700}}',
            Usage(1000, 5, cache_write_tokens=700),
        ),
        (
            b'{"prompt_tokens":1000,"completion_tokens":5,'
            b'"prompt_tokens_details":{"cache_creation_input_tokens":700}}',
            Usage(1000, 5, cache_write_tokens=700),
        ),
        (
            b'{"prompt_tokens":9,"completion_tokens":7,'
            b'"prompt_tokens_details":{"audio_tokens":3,"image_tokens":4},'
            b'"completion_tokens_details":{"audio_tokens":5,"image_tokens":1}}',
            Usage(9, 7, 0, 0, 0, 3, 4, 5, 1),
        ),
        # Written for five minutes, and for an hour.
        (
            b'{"input_tokens":100,"output_tokens":10,"cache_creation_input_tokens":50,'
            b'"cache_creation":{"ephemeral_5m_input_tokens":20,"ephemeral_1h_input_tokens":30}}',
            Usage(150, 10, cache_write_tokens=50, cache_write_1h_tokens=30),
        ),
        (
            b'{"input_tokens":100,"output_tokens":10,'
            b'"cache_creation":{"ephemeral_5m_input_tokens":20,"ephemeral_1h_input_tokens":30}}',
            Usage(150, 10, cache_write_tokens=50, cache_write_1h_tokens=30),
        ),
        (
            b'{"prompt_tokens":2000,"completion_tokens":10,"total_tokens":2010,'
            b'"prompt_tokens_details":{"cache_creation_input_tokens":1500,'
            b'"cache_creation":{"ephemeral_5m_input_tokens":1500}}}',
            Usage(2000, 10, cache_write_tokens=1500),
        ),
        (
            b'{"prompt_tokens":2000,"completion_tokens":10,"prompt_tokens_details":'
            b'{"cache_creation_token_details":{"ephemeral_1h_input_tokens":700}}}',
            Usage(2000, 10, cache_write_tokens=700, cache_write_1h_tokens=700),
        ),
        (b'{"prompt_tokens":7,"cache_creation":[1]}', Usage(7)),
        # Costs as providers report them.
        (b'{"prompt_tokens":7,"cost":0.000027750}', Usage(7, reported_cost=27_750)),
        (b'{"prompt_tokens":7,"cost":1e-7}', Usage(7, reported_cost=100)),
        (b'{"prompt_tokens":7,"cost":"0.25"}', Usage(7, reported_cost=250_000_000)),
        (b'{"prompt_tokens":7,"cost":{"total_cost":0.006}}', Usage(7, reported_cost=6_000_000)),
        (b'{"prompt_tokens":7,"estimated_cost":0.5}', Usage(7, reported_cost=500_000_000)),
        (b'{"prompt_tokens":7,"cost_in_usd_ticks":1721250}', Usage(7, reported_cost=172_125)),
        (b'{"prompt_tokens":0,"cost":0.5}', Usage(reported_cost=500_000_000)),
        (b'{"prompt_tokens":7,"cost":0}', Usage(7, reported_cost=0)),
        (b'{"prompt_tokens":7,"cost":0.0}', Usage(7, reported_cost=0)),
        (b'{"prompt_tokens":7,"cost_in_usd_ticks":0}', Usage(7, reported_cost=0)),
        (b'{"prompt_tokens":7,"cost_in_usd_ticks":1e300}', Usage(7)),
        (b'{"prompt_tokens":0,"completion_tokens":0,"cost":0}', None),
        (b'{"prompt_tokens":7,"cost":null}', Usage(7)),
        (b'{"prompt_tokens":7,"cost":false}', Usage(7)),
        (b'{"prompt_tokens":7,"cost":true}', Usage(7)),
        (b'{"prompt_tokens":7,"cost":-1}', Usage(7)),
        (b'{"prompt_tokens":7,"cost":"1e9999999"}', Usage(7)),
        (b'{"prompt_tokens":7,"cost":"NaN"}', Usage(7)),
        (b'{"prompt_tokens":7,"cost":[1]}', Usage(7)),
        (b'{"prompt_tokens":0,"completion_tokens":0}', None),
        (b'{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}', None),
        (b"{}", None),
        (b"null", None),
        (b"[7,3]", None),
        (b"7", None),
        (b"", None),
        (b"{", None),
        (b'{"prompt_tokens":1e400}', None),
        (b'{"prompt_tokens":7,"x":"\xff"}', None),
        (b'{"prompt_tokens":7,"x":"\\ud800"}', None),
        (b'{"x":' * 5000 + b"1" + b"}" * 5000, None),
    ],
)
def test_read_usage(raw: bytes, usage: Usage | None) -> None:
    assert read_usage(raw) == usage
    assert read_usage(msgspec.Raw(raw)) == usage


@given(st.binary(max_size=60))
def test_anything_can_be_read(raw: bytes) -> None:
    usage = read_usage(raw)
    assert usage is None or usage.total or usage.reported_cost is not None


SPREAD = [
    # The prompt in the first report, the answer in the last.
    (
        [b'{"prompt_tokens":32,"completion_tokens":0}', b'{"completion_tokens":9}'],
        Usage(32, 9),
    ),
    (
        [
            b'{"prompt_tokens":32,"prompt_tokens_details":{"cached_tokens":30}}',
            b'{"prompt_tokens":0,"completion_tokens":9,"total_tokens":135,'
            b'"prompt_tokens_details":{"cached_tokens":0}}',
        ],
        Usage(32, 103, 30),
    ),
    # Running totals.
    ([b'{"prompt_tokens":5,"completion_tokens":%d}' % n for n in range(1, 9)], Usage(5, 8)),
    (
        [
            b'{"prompt_tokens":5,"completion_tokens":%d,"total_tokens":%d}' % (n, n + 5)
            for n in range(1, 9)
        ],
        Usage(5, 8),
    ),
    # A first guess that is put right, with a total or without.
    (
        [
            b'{"prompt_tokens":100,"completion_tokens":1,"total_tokens":101}',
            b'{"prompt_tokens":50,"completion_tokens":20}',
        ],
        Usage(50, 20),
    ),
    # What follows and says nothing changes nothing.
    ([b'{"prompt_tokens":5,"completion_tokens":8}', b"null", b"{}", b"[", b'{"a":1}'], Usage(5, 8)),
    (
        [
            b'{"prompt_tokens":5,"completion_tokens":8}',
            b'{"prompt_tokens":0,"completion_tokens":0,"cost":0.5}',
        ],
        Usage(5, 8, reported_cost=500_000_000),
    ),
    ([b"null", b"{}"], None),
]


@pytest.mark.parametrize(("reports", "usage"), SPREAD)
def test_reports_add_up_to_one_usage(reports: list[bytes], usage: Usage | None) -> None:
    found = UsageReports()
    for report in reports:
        found.add(report)
    assert found.usage == usage


def test_what_a_provider_makes_up_is_not_kept() -> None:
    found = UsageReports()
    for number in range(1000):
        found.add(b'{"prompt_tokens":5,"%d":%d}' % (number, random.getrandbits(60)))
    assert len(repr(found)) < 200


def test_usage_of_groq() -> None:
    found = UsageReports()
    for raw in (b'{"id":"x"}', b"[]", b"{", b'{"usage":null}'):
        found.add_nested(raw)
    assert found.usage is None
    found.add_nested(b'{"id":"x","usage":{"prompt_tokens":5,"completion_tokens":8}}')
    assert found.usage == Usage(5, 8)


def test_choices_with_usage_of_their_own_share_one_prompt() -> None:
    found = UsageReports()
    found.add_of_choice(0, b'{"prompt_tokens":100,"completion_tokens":1,"total_tokens":101}')
    found.add_of_choice(0, b'{"prompt_tokens":100,"completion_tokens":10,"total_tokens":110}')
    assert found.usage == Usage(100, 10)
    found.add_of_choice(1, b'{"prompt_tokens":100,"completion_tokens":20,"cached_tokens":90}')
    assert found.usage == Usage(100, 30, 90)
    for nothing in (b"null", b"{", b"[]"):
        found.add_of_choice(2, nothing)
    assert found.usage == Usage(100, 30, 90)
    # Moonshot sends both if usage is asked for.
    found.add(b'{"prompt_tokens":100,"completion_tokens":31}')
    assert found.usage == Usage(100, 31)


def test_the_prompt_may_stand_elsewhere_than_the_choices_output() -> None:
    found = UsageReports()
    found.add(b'{"prompt_tokens":100,"cost":0.5}')
    found.add_of_choice(0, b'{"completion_tokens":10}')
    assert found.usage == Usage(100, 10, reported_cost=500_000_000)


def test_choices_without_end_take_no_memory() -> None:
    found = UsageReports()
    for number in range(5000):
        found.add_of_choice(number, b'{"prompt_tokens":1,"completion_tokens":1}')
    assert found.usage == Usage(1, 1024)


_FAULTY = [
    b"-3",
    b"-3.5",
    b"1e300",
    # No answer has so many: it would use up every budget.
    b"2147483648",
    b"9007199254740991",
    b"0.5",
    b"true",
    b'"-3"',
    b'"3.5"',
    b'"\\u0663"',
    b'"many"',
    b"[3]",
]


@pytest.mark.parametrize("faulty", _FAULTY)
def test_a_count_that_cannot_be_makes_the_tokens_unknown(faulty: bytes) -> None:
    for form in (
        b'{"prompt_tokens":7,"completion_tokens":%b}',
        b'{"prompt_tokens":7,"completion_tokens":%b,"total_tokens":7}',
        b'{"prompt_tokens":%b,"completion_tokens":7}',
        b'{"input_tokens":7,"output_tokens":%b}',
        b'{"prompt_tokens":%b}',
    ):
        assert read_usage(form % faulty) is None
    # What it costs may be right all the same.
    paid = b'{"prompt_tokens":7,"completion_tokens":%b,"cost":0.5}' % faulty
    assert read_usage(paid) == Usage(reported_cost=500_000_000)


@pytest.mark.parametrize("faulty", _FAULTY)
def test_another_count_makes_up_for_one_that_cannot_be(faulty: bytes) -> None:
    for form in (
        b'{"prompt_tokens":7,"completion_tokens":%b,"total_tokens":12}',
        b'{"prompt_tokens":%b,"completion_tokens":5,"total_tokens":12}',
        b'{"prompt_tokens":7,"completion_tokens":5,"total_tokens":%b}',
        b'{"prompt_tokens":7,"completion_tokens":%b,"output_tokens":5}',
        b'{"prompt_tokens":7,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":%b}}',
    ):
        assert read_usage(form % faulty) == Usage(7, 5)
    later = UsageReports()
    later.add(b'{"prompt_tokens":7,"completion_tokens":%b}' % faulty)
    later.add(b'{"prompt_tokens":7,"completion_tokens":5}')
    assert later.usage == Usage(7, 5)


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        (b'{"prompt_n":32,"predicted_n":9,"prompt_ms":1.5}', Usage(32, 9)),
        (b'{"cache_n":68,"prompt_n":32,"predicted_n":9}', Usage(100, 9, 68)),
        (b'{"prompt_n":32.0,"predicted_n":9.0}', Usage(32, 9)),
        # Half of it tells no cost.
        (b'{"prompt_n":32}', None),
        (b'{"prompt_n":0,"predicted_n":9}', None),
        (b'{"prompt_n":-1,"predicted_n":9}', None),
        (b"null", None),
        (b"[]", None),
        (b"{", None),
    ],
)
def test_timings_count_where_there_is_no_usage(raw: bytes, usage: Usage | None) -> None:
    found = UsageReports()
    found.add_timings(b'{"prompt_n":32,"predicted_n":1}')
    found.add_timings(raw)
    assert found.usage == usage
    found.add(b'{"prompt_tokens":5,"completion_tokens":8}')
    assert found.usage == Usage(5, 8)


def test_what_is_counted_beside_the_rest_by_a_rule() -> None:
    """A provider's own arithmetic, where its report has no total that tells."""
    details = {"reasoning_tokens": 7}
    for total in ({}, {"total_tokens": 10 + 5 + 7}):
        report = {"prompt_tokens": 10, "completion_tokens": 5, **total}
        raw = msgspec.json.encode(report | {"completion_tokens_details": details})
        found = read_usage(raw, "reasoning_beside")
        assert found is not None
        assert (found.input_tokens, found.output_tokens) == (10, 12), total
    # Without the rule reasoning is part of the answer, unless there is more of it.
    raw = msgspec.json.encode(
        {"prompt_tokens": 10, "completion_tokens": 9, "completion_tokens_details": details}
    )
    assert (plain := read_usage(raw)) is not None
    assert plain.output_tokens == 9
    cached = {"prompt_tokens": 10, "completion_tokens": 5, "cached_tokens": 90}
    found = read_usage(msgspec.json.encode(cached), "cache_beside")
    assert found is not None
    assert (found.input_tokens, found.cached_tokens) == (100, 90)
