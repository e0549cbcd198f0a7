from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.dialects.openai_chat.stream import DONE, ChatStreamRewriter
from gateway.core.records.usage import Usage
from gateway.core.wire.sse import SseDecoder, SseEvent, encode

MODEL = b'"mine"'
USAGE = b'{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}'


class Outcome(NamedTuple):
    """All that a rewriter has to say about a stream whose body has ended."""

    output: bytes
    meaningful: bool
    progressed: bool
    done: bool
    finished: bool
    said: int
    error: bytes | None
    broken: str | None
    usage: Usage | None
    events: int
    malformed: int


def splits(stream: bytes) -> Iterator[list[bytes]]:
    """Cut a stream: whole, byte by byte, at each position."""
    yield [stream]
    yield [stream[at : at + 1] for at in range(len(stream))]
    for cut in range(1, len(stream)):
        yield [stream[:cut], stream[cut:]]


def feed(chunks: list[bytes], *, keep_usage: bool, limit: int, n: int = 1) -> Outcome:
    rewriter = ChatStreamRewriter(MODEL, keep_usage=keep_usage, max_event_bytes=limit, choices=n)
    output = b"".join([rewriter.feed(chunk) for chunk in chunks])
    output += rewriter.end()
    assert rewriter.end() == b""
    return Outcome(
        output,
        rewriter.meaningful,
        rewriter.progressed,
        rewriter.done,
        rewriter.finished,
        rewriter.said,
        rewriter.error,
        rewriter.broken,
        rewriter.usage,
        rewriter.events,
        rewriter.malformed,
    )


def rewrite(
    stream: bytes, *, keep_usage: bool = False, limit: int = 1 << 20, n: int = 1
) -> Outcome:
    """Rewrite `stream` in every split, which must make no difference."""
    whole = feed([stream], keep_usage=keep_usage, limit=limit, n=n)
    for chunks in splits(stream):
        assert feed(chunks, keep_usage=keep_usage, limit=limit, n=n) == whole, chunks
    return whole


def event(data: bytes) -> bytes:
    return b"data: %b\n\n" % data


def content(text: str, rest: str = "") -> bytes:
    delta = json.dumps(text, ensure_ascii=False)
    choices = f'[{{"index":0,"delta":{{"content":{delta}}}}}]'
    return f'{{"id":"c1","model":"theirs","choices":{choices}{rest}}}'.encode()


def renamed(data: bytes) -> bytes:
    return data.replace(b'"model":"theirs"', b'"model":"mine"')


# The model's name...


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"model":"theirs","choices":[]}', b'{"model":"mine","choices":[]}'),
        (b'{"choices":[],"model":"theirs"}', b'{"choices":[],"model":"mine"}'),
        (b'{ "model" : "theirs" , "x":1}', b'{ "model" : "mine" , "x":1}'),
        (b'{"m\\u006fdel":"theirs"}', b'{"m\\u006fdel":"mine"}'),
        (b'{"m\\u006Fdel":1,"model":2}', b'{"m\\u006Fdel":"mine","model":"mine"}'),
        (b'{"model":"a","model":"b"}', b'{"model":"mine","model":"mine"}'),
        (b'{"model":null}', b'{"model":"mine"}'),
        (b'{"model":{"a":[1]}}', b'{"model":"mine"}'),
        (b'{"id":"1"}', b'{"id":"1"}'),
        (b'{"x":{"model":"y"}}', b'{"x":{"model":"y"}}'),
        (b'{"x":{"model":"y"},"model":"y"}', b'{"x":{"model":"y"},"model":"mine"}'),
        (b'{"x":"\\"model\\":\\"y\\"","model":"y"}', b'{"x":"\\"model\\":\\"y\\"","model":"mine"}'),
        (b'{"x":"model","model":"model"}', b'{"x":"model","model":"mine"}'),
        (b'{"a\\"model":1,"model":1}', b'{"a\\"model":1,"model":"mine"}'),
        (b"{}", b"{}"),
    ],
)
def test_the_model_is_the_requested_one_and_nothing_else_changes(
    data: bytes, expected: bytes
) -> None:
    # Once at the head of a stream and once where the rewriter has seen its like.
    assert rewrite(event(data) * 2).output == event(expected) * 2


def test_a_name_that_begins_like_the_one_before() -> None:
    datas = [b'{"model":4}', b'{"model":42}', b'{"model":4,"x":1}', b'{"model":4 }', b'{"model":4}']
    expected = [data.replace(b"42", b"4").replace(b"4", MODEL) for data in datas]
    assert rewrite(b"".join(map(event, datas))).output == b"".join(map(event, expected))


def test_unknown_fields_and_spellings_survive_to_the_byte() -> None:
    data = (
        '{"id":"c1","provider":"X","model":"theirs","extra_content":{"google":{"x":1.50E+2}},'
        '"choices":[{"index":0,"delta":{"content":"\\u00e9é\\ud83d 🎉\u2028"},"y":null}]}'
    ).encode()
    assert rewrite(event(data)).output == event(renamed(data))


# Usage...


@pytest.mark.parametrize("keep_usage", [False, True])
@pytest.mark.parametrize(
    ("datas", "dropped"),
    [
        pytest.param(
            [
                content("a", ',"usage":null'),
                b'{"model":"theirs","choices":[],"usage":%b}' % USAGE,
            ],
            1,
            id="last chunk of its own, null before (OpenAI)",
        ),
        pytest.param([content("a"), content("b", f',"usage":{USAGE.decode()}')], 0, id="Gemini"),
        pytest.param(
            [
                content("a", ',"usage":{"prompt_tokens":7,"completion_tokens":1}'),
                content("b", f',"usage":{USAGE.decode()}'),
            ],
            0,
            id="running totals in every chunk",
        ),
        pytest.param(
            [b'{"usage":%b,"model":"theirs","choices":[ ]}' % USAGE, content("a")], 1, id="first"
        ),
        pytest.param([content("a"), b'{"usage":%b}' % USAGE], 1, id="no choices at all"),
        pytest.param(
            [content("a"), b'{"usage":%b,"choices":null,"id":"\\ud800"}' % USAGE],
            1,
            id="beside a lone surrogate",
        ),
    ],
)
def test_usage_is_noted_and_shown_to_who_asked(
    datas: list[bytes], dropped: int, keep_usage: bool
) -> None:
    outcome = rewrite(b"".join(map(event, datas)), keep_usage=keep_usage)
    assert outcome.usage == Usage(input_tokens=7, output_tokens=3)
    shown = SseDecoder().feed(outcome.output)
    if keep_usage:
        assert [found.data for found in shown] == [renamed(data) for data in datas]
        return
    assert b"usage" not in outcome.output
    assert outcome.events == len(shown) == len(datas) - dropped
    assert all(json.loads(found.data or b"")["choices"] for found in shown)


SPREAD = {
    "Moonshot": [
        content("a"),
        b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop","usage":%b}]}' % USAGE,
    ],
    "Moonshot, oddly": [
        content("a"),
        b'{"choices":[{"delta":{"content":"\\ud800"},"usage":%b,"finish_reason":1}]}' % USAGE,
        b'{"choices":[{"delta":1,"usage":%b}],"x":"\\ud800"}' % USAGE,
    ],
    "Groq": [content("a"), content("b", f',"x_groq":{{"id":"x","usage":{USAGE.decode()}}}')],
    "in two halves": [
        content("a", ',"usage":{"prompt_tokens":7,"completion_tokens":0}'),
        content("b", ',"usage":{"completion_tokens":3}'),
    ],
}


@pytest.mark.parametrize("datas", SPREAD.values(), ids=[*SPREAD])
@pytest.mark.parametrize("keep_usage", [False, True])
def test_usage_is_found_wherever_it_is(datas: list[bytes], keep_usage: bool) -> None:
    outcome = rewrite(b"".join(map(event, datas)), keep_usage=keep_usage)
    assert outcome.usage == Usage(input_tokens=7, output_tokens=3)


def test_text_is_measured() -> None:
    rewriter = ChatStreamRewriter(MODEL, keep_usage=False, max_event_bytes=1 << 20)
    assert rewriter.text_tokens == 0
    words = "word " * 250
    rewriter.feed(event(b'{"choices":[{"delta":{"role":"assistant"}}]}'))
    assert rewriter.text_tokens == 0
    rewriter.feed(event(content(words)))
    assert rewriter.text_tokens == 313
    rewriter.feed(event(b'{"choices":[{"delta":{"content":"word"},"index":"odd"},7]}'))
    assert rewriter.text_tokens == 314
    assert rewriter.usage is None


def test_without_usage_there_is_none() -> None:
    assert rewrite(event(content("a")) + DONE).usage is None


@pytest.mark.parametrize("usage", [b"{}", b"[]", b'"x"', b"0", b'{"prompt_tokens":"\xc3\xa9"}'])
def test_usage_that_says_nothing_does_not_replace_what_was_said(usage: bytes) -> None:
    stream = event(b'{"choices":[],"usage":%b}' % USAGE) + event(
        b'{"choices":[{"delta":{}}],"usage":%b}' % usage
    )
    outcome = rewrite(stream)
    assert outcome.usage == Usage(input_tokens=7, output_tokens=3)
    assert outcome.output == event(b'{"choices":[{"delta":{}}]}')


def test_both_of_two_usages_are_taken_out() -> None:
    data = b'{"usage":%b,"choices":[1],"us\\u0061ge":1,"usage":null}' % USAGE
    assert rewrite(event(data)).output == event(b'{"choices":[1]}')
    data = b'{"usage":%b,"choices":[{}],"usage":null}' % USAGE
    assert rewrite(event(data)).output == event(b'{"choices":[{}]}')
    data = b'{"us\\u0061ge":null,"choices":[{}],"usage":null}'
    assert rewrite(event(data)).output == event(b'{"choices":[{}]}')


def test_nested_usage_is_the_providers_business() -> None:
    data = b'{"choices":[{"delta":{"usage":null}}],"x":{"a":1,"usage":null}}'
    assert rewrite(event(data)).output == event(data)


def test_azures_filter_results_are_kept_without_choices() -> None:
    data = b'{"choices":[],"model":"","prompt_filter_results":[{"prompt_index":0}]}'
    outcome = rewrite(event(data))
    assert outcome.output == event(data.replace(b'"model":""', b'"model":"mine"'))
    assert not outcome.meaningful


# What counts as the first meaningful event...


@pytest.mark.parametrize(
    ("choices", "meaningful"),
    [
        ('[{"index":0,"delta":{"role":"assistant"}}]', False),
        ('[{"delta":{"role":"assistant","content":""},"finish_reason":null}]', False),
        ('[{"delta":{"role":"assistant","content":null,"refusal":null,"tool_calls":[]}}]', False),
        ('[{"delta":{}}]', False),
        ('[{"delta":null}]', False),
        ("[{}]", False),
        ("[]", False),
        ("null", False),
        ('[{"delta":{},"finish_reason":""}]', False),
        ('[{"delta":{"content":"a"}}]', True),
        ('[{"delta":{"content":" "}}]', True),
        ('[{"delta":{"content":"\\ud800"}}]', True),
        ('[{"delta":{"role":"assistant","tool_calls":[{"index":0}]}}]', True),
        ('[{"delta":{"reasoning_content":"hm"}}]', True),
        ('[{"delta":{"reasoning":"hm"}}]', True),
        ('[{"delta":{"refusal":"no"}}]', True),
        ('[{"delta":{"function_call":{"name":"f"}}}]', True),
        ('[{"delta":{},"finish_reason":"stop"}]', True),
        ('[{"delta":{}},{"index":1,"delta":{"content":"b"}}]', True),
        # Unknown shapes are let through, not held.
        ('[{"delta":"text"}]', True),
        ('[{"text":"a"},7]', True),
    ],
)
def test_meaningful(choices: str, meaningful: bool) -> None:
    data = f'{{"choices":{choices}}}'.encode()
    outcome = rewrite(event(data))
    assert outcome.meaningful is meaningful
    # Held or not is the caller's decision: nothing is lost.
    assert outcome.output == event(data)


@pytest.mark.parametrize(
    ("choices", "finished"),
    [
        ('[{"delta":{},"finish_reason":"stop"}]', True),
        ('[{"delta":{"content":"\\ud800"},"finish_reason":"length"}]', True),
        ('[{"delta":{"content":"a"},"finish_reason":null}]', False),
        ('[{"delta":{"content":"a"},"finish_reason":""}]', False),
        ('[{"delta":{"content":"\\ud800"},"finish_reason":null}]', False),
        ('[{"delta":{"finish_reason":"stop"}}]', False),
    ],
)
def test_finished_is_a_finish_reason(choices: str, finished: bool) -> None:
    assert rewrite(event(f'{{"choices":{choices}}}'.encode())).finished is finished


# How a stream ends...


@pytest.mark.parametrize("end", [b"data: [DONE]\n\n", b"data:[DONE]\r\n\r\n", b"data: [DONE] \n\n"])
def test_done_is_kept_back_and_nothing_is_read_beyond_it(end: bytes) -> None:
    outcome = rewrite(event(content("a")) + end + event(content("b")) + DONE)
    assert outcome.done
    assert outcome.output == event(renamed(content("a")))
    assert outcome.events == 1


@pytest.mark.parametrize(
    "data",
    [
        b'{"error":{"message":"overloaded","code":529}}',
        b'{"error":"overloaded"}',
        b'{"error":{"message":"\\ud800"},"choices":[]}',
        # OpenRouter's shape, which is a chunk as well.
        b'{"id":"1","model":"x","error":{"code":502},"choices":[{"finish_reason":"error"}]}',
    ],
)
def test_an_error_event_ends_the_stream_and_is_kept_aside(data: bytes) -> None:
    outcome = rewrite(event(content("a")) + event(data) + event(content("b")) + DONE)
    assert outcome.error == data.replace(b'"model":"x"', b'"model":"mine"')
    assert not outcome.done
    assert not outcome.finished
    assert outcome.output == event(renamed(content("a")))


@pytest.mark.parametrize("error", ["null", '""', "{}", "[]", "false", "0"])
def test_an_empty_error_is_none(error: str) -> None:
    data = content("a", f',"error":{error}')
    outcome = rewrite(event(data))
    assert outcome.error is None
    assert outcome.output == event(renamed(data))


# What is wrong or odd in the framing...


@pytest.mark.parametrize(
    "data",
    [
        b'{"choices":[',
        b'lo"}}]}',
        b"[1]",
        b'"text"',
        b"<html>",
        b'{"x":NaN}',
        b'{"choices":[{"logprobs":{"content":[{"logprob":-Infinity}]}}]}',
        b'{"choices":[{"delta":{"content":"\xff"}}]}',
        b'{"choices":[{"delta":{"content":"\xc3"}}]}',
        b'{"x\xc3":1}',
        b"[" * 5000,
        b'{"usage":' + b"[" * 5000,
    ],
)
def test_an_event_that_cannot_be_read_breaks_the_stream(data: bytes) -> None:
    a, stop = event(content("a")), event(b'{"choices":[{"delta":{},"finish_reason":"stop"}]}')
    check = rewrite if len(data) < 100 else lambda s: feed([s], keep_usage=False, limit=1 << 20)
    outcome = check(a + event(data) + event(content("b")) + stop + DONE)
    assert outcome.output == renamed(a)
    assert (outcome.malformed, outcome.events) == (1, 1)
    assert outcome.broken == "the provider sent an event that cannot be read"
    assert not outcome.done
    assert not outcome.finished
    assert outcome.error is None
    # No text can be missing when every choice has its end.
    outcome = check(a + stop + event(data) + DONE)
    assert outcome.output == renamed(a) + stop
    assert (outcome.malformed, outcome.events) == (1, 2)
    assert outcome.done


@pytest.mark.parametrize("data", [b"", b"ping", b"keep-alive", b"not JSON", b"7", b"null"])
def test_a_bare_word_is_dropped_and_counted(data: bytes) -> None:
    outcome = rewrite(event(content("a")) + event(data) + event(content("b")) + DONE)
    assert outcome.output == event(renamed(content("a"))) + event(renamed(content("b")))
    assert (outcome.malformed, outcome.events) == (1, 2)
    assert outcome.done
    assert outcome.broken is None


# Several choices...


def piece(index: int, reason: str | None = None) -> bytes:
    choice = {"index": index, "delta": {"content": "a"}, "finish_reason": reason}
    return event(json.dumps({"choices": [choice]}).encode())


@pytest.mark.parametrize(
    ("pieces", "n", "finished", "done"),
    [
        ([piece(0), piece(0, "stop")], 1, True, True),
        ([piece(0), piece(1), piece(0, "stop"), piece(1, "length")], 2, True, True),
        ([piece(0), piece(1), piece(0, "stop"), piece(1)], 2, False, False),
        # The other has not begun; a provider that says `[DONE]` may have taken `n` for 1.
        ([piece(0), piece(0, "stop")], 2, False, True),
        # More than were asked for.
        ([piece(0, "stop"), piece(1)], 1, False, False),
        # Some providers have no finish_reason at all.
        ([piece(0), piece(1)], 2, False, True),
    ],
)
def test_all_choices_must_be_complete(
    pieces: list[bytes], n: int, finished: bool, done: bool
) -> None:
    assert rewrite(b"".join(pieces), n=n).finished is finished
    outcome = rewrite(b"".join([*pieces, DONE]), n=n)
    assert outcome.done is done
    assert (outcome.broken is None) is done
    # The same in the odd way, which lone surrogates take.
    odd = b"".join(pieces).replace(b'"a"', b'"\\ud800"')
    assert rewrite(odd, n=n).finished is finished
    assert rewrite(odd + DONE, n=n).done is done


# What moves a stream on...


def test_pings_say_nothing() -> None:
    usage = event(b'{"choices":[],"usage":%b}' % USAGE)
    stop = piece(0, "stop")
    stream = piece(0) + stop
    assert rewrite(stream).said == rewrite(stream + b": ping\n\n" * 3).said
    assert rewrite(stream).said == rewrite(stream + event(b'{"choices":[]}') * 3).said
    assert rewrite(stream).said == rewrite(stream + b"event: ping\ndata: {}\n\n").said
    assert rewrite(stream + usage).said == rewrite(stream).said + 1
    assert rewrite(stream + usage * 2).said == rewrite(stream).said + 1
    assert rewrite(stream + piece(0)).said == rewrite(stream).said + 1


PROGRESS = (
    b'{"choices":[{"index":0,"delta":{"role":"assistant","content":null}}],'
    b'"prompt_progress":{"total":900,"cache":0,"processed":300,"time_ms":100}}'
)


@pytest.mark.parametrize(
    ("stream", "progressed"),
    [
        (event(PROGRESS), True),
        (b"event: prompt_processing.progress\n" + event(b'{"done":0.5}'), True),
        (event(b'{"choices":[{"delta":{"role":"assistant"}}]}') + b": ping\n\n", False),
        (event(content("we make progress")), False),
    ],
)
def test_progress_comes_before_content(stream: bytes, progressed: bool) -> None:
    outcome = rewrite(stream)
    assert outcome.progressed is progressed
    assert outcome.output == renamed(stream)


def test_only_usage_is_taken_out_of_a_chunk_that_says_more() -> None:
    # llama.cpp's last chunk (tools/server/README.md).
    more = b'"timings":{"prompt_n":9,"predicted_per_second":61.5}'
    data = b'{"choices":[],"model":"theirs","usage":%b,%b}' % (USAGE, more)
    outcome = rewrite(event(content("a")) + event(data))
    assert outcome.output.endswith(event(b'{"choices":[],"model":"mine",%b}' % more))
    assert outcome.usage == Usage(input_tokens=7, output_tokens=3)
    for nothing in (b"null", b"{}", b"[]"):
        data = b'{"choices":[],"usage":%b,"timings":%b}' % (USAGE, nothing)
        assert rewrite(event(data)).output == b""


# Errors in other forms...


@pytest.mark.parametrize(
    ("block", "error"),
    [
        (
            event(b'{"object":"error","message":"boom","code":400}'),
            b'{"error":{"object":"error","message":"boom","code":400}}',
        ),
        (
            event(b'{"type":"error","message":"boom"}'),
            b'{"error":{"type":"error","message":"boom"}}',
        ),
        (
            event(b'{"choices":null,"error":{"message":"boom"}}'),
            b'{"choices":null,"error":{"message":"boom"}}',
        ),
        (
            b"event: error\n" + event(b'{"message":"boom"}'),
            b'{"error":{"message":"boom"}}',
        ),
        (
            b"event: error\n" + event(b'{"error":{"message":"boom"}}'),
            b'{"error":{"message":"boom"}}',
        ),
        (
            b"event: error\n" + event(b"boom"),
            b'{"error":{"message":"boom","type":"upstream_error"}}',
        ),
        (
            event(b'{"choices":[{"delta":{},"finish_reason":"error","error":{"code":502}}]}'),
            b'{"choices":[{"delta":{},"finish_reason":"error","error":{"code":502}}],'
            b'"error":{"code":502}}',
        ),
        (
            event(b'{"choices":[{"error":{"code":502},"delta":{"content":"\\ud800"}}]}'),
            b'{"choices":[{"error":{"code":502},"delta":{"content":"\\ud800"}}],'
            b'"error":{"message":"the provider reports an error","type":"upstream_error"}}',
        ),
    ],
)
def test_every_form_of_error_becomes_openais(block: bytes, error: bytes) -> None:
    outcome = rewrite(event(content("a")) + block + event(content("b")) + DONE)
    assert outcome.error == error
    assert json.loads(error)["error"]
    assert outcome.output == event(renamed(content("a")))
    assert not outcome.done
    assert not outcome.finished


def test_a_finish_reason_error_without_words_is_an_error() -> None:
    outcome = rewrite(event(b'{"choices":[{"delta":{"content":""},"finish_reason":"error"}]}'))
    assert json.loads(outcome.error or b"")["error"]["message"] == "the provider reports an error"
    assert not outcome.meaningful


def test_the_word_error_is_no_error() -> None:
    data = b'{"choices":[],"type":"chunk","x":"error","object":"chat.completion.chunk"}'
    assert rewrite(event(data)).error is None


def test_malformed_alone_is_not_meaningful() -> None:
    assert not rewrite(event(b"<html>")).meaningful


def test_id_and_retry_are_taken_out_and_comments_and_names_kept() -> None:
    a = content("a")
    stream = (
        b"retry: 1000\n\n"
        b"id: 1\n\n"
        b": PROCESSING\n\n"
        b"id: 2\nretry: 5\nevent: chunk\n: note\ndata: %b\n\n"
        b"id: 3\n: alone\n\n"
        b"event: ping\n\n"
        b"id: 4\ndata: %b\n\n" % (a, a)
    )
    expected = b": PROCESSING\n\n: note\nevent: chunk\ndata: %b\n\n: alone\n\ndata: %b\n\n"
    outcome = rewrite(stream)
    assert outcome.output == expected % (renamed(a), renamed(a))
    assert outcome.events == 2


def test_data_of_several_lines_keeps_them() -> None:
    stream = b'data: {"model":\ndata:  "theirs",\ndata: "choices":[]}\n\n'
    expected = b'data: {"model":\ndata:  "mine",\ndata: "choices":[]}\n\n'
    assert rewrite(stream).output == expected


@pytest.mark.parametrize("line_end", [b"\r", b"\r\n"])
def test_other_line_ends_become_line_feeds(line_end: bytes) -> None:
    a = event(content("a"))
    assert rewrite(a.replace(b"\n", line_end) * 2).output == renamed(a) * 2


@pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n"])
def test_a_last_event_without_its_blank_line_counts(end: bytes) -> None:
    a, stop = content("a"), b'{"model":"theirs","choices":[{"delta":{},"finish_reason":"stop"}]}'
    outcome = rewrite(event(a) + b"data: " + stop + end)
    assert outcome.output == event(renamed(a)) + event(renamed(stop))
    assert outcome.finished
    assert outcome.events == 2
    assert outcome.broken is None
    assert rewrite(event(a) + b"data: [DONE]" + end).done
    usage = b'{"choices":[],"usage":%b}' % USAGE
    outcome = rewrite(event(a) + event(stop) + b"data: " + usage + end)
    assert outcome.usage == Usage(input_tokens=7, output_tokens=3)


@pytest.mark.parametrize("cut", range(1, len(content("b"))))
def test_a_last_event_that_is_cut_breaks_the_stream(cut: int) -> None:
    a = event(content("a"))
    outcome = feed([a + b"data: " + content("b")[:cut]], keep_usage=False, limit=1 << 20)
    assert outcome.output == renamed(a)
    assert outcome.broken is not None
    assert not outcome.finished


def test_an_event_beyond_the_limit_breaks_the_stream_after_those_before_it() -> None:
    a = event(content("a"))
    stream = a + event(content("b" * 300)) + a
    outcome = rewrite(stream, limit=200)
    assert outcome.output == renamed(a)
    assert outcome.broken is not None
    assert "200 bytes" in outcome.broken
    assert not outcome.done


# The same edit on the decoded object, for any object...

Pairs = list[tuple[str, Any]]


def pairs(data: bytes) -> Pairs:
    """Decode an object to its members, duplicates and all; numbers stay text."""
    found: list[Pairs] = []

    def hook(items: Pairs) -> object:
        found.append(items)  # the outermost object is the last to be complete
        return {"object": items}

    json.loads(data, object_pairs_hook=hook, parse_int=str, parse_float=str)
    return found[-1]


SPACE = st.sampled_from(["", "", "", " ", "\n", "\t  "])
KEYS = {
    "model": ['"model"', '"model"', '"m\\u006fdel"', '"\\u006D\\u006f\\u0064\\u0065\\u006c"'],
    "usage": ['"usage"', '"usage"', '"us\\u0061ge"'],
    "choices": ['"choices"', '"ch\\u006fices"'],
    "other": ['"id"', '"Model"', '"a\\"model"', '"\\ud800"', '"é"', '""', '"delta"'],
}
VALUES = {
    "model": ['"theirs"', "null", '"mine"', "4", "42", '{"model":"x"}', '"é\\ud83d\\ude00"', '""'],
    "usage": ["null", "null", USAGE.decode(), "{}", '{"prompt_tokens":1e400}', '"\\ud800"', "[ ]"],
    "choices": [
        "[]",
        "[ ]",
        "null",
        "[{}]",
        '[{"delta":{"content":"a","model":"x"}}]',
        '[{"delta":{"content":"\\ud800"},"finish_reason":"stop"}]',
        '[{"delta":{"content":"\\"model\\":\\"theirs\\",\\"usage\\":null}"}}]',
        '[7, {"usage":null}]',
    ],
    "other": ["1", "9" * 4400, '"\\udc00"', '{"model":"theirs","usage":null}', '"🎉\u2028"', "[]"],
}


# A chunk with usage and only these has nothing else to say.
ENVELOPE = {"id", "model", "usage", "choices"}


class Member(NamedTuple):
    name: str
    before: str
    head: str
    value: str
    after: str


@st.composite
def chunk_members(draw: st.DrawFn) -> list[Member]:
    names = draw(st.lists(st.sampled_from([*KEYS, "model", "other"]), max_size=6))
    found = []
    for name in names:
        key, value = draw(st.sampled_from(KEYS[name])), draw(st.sampled_from(VALUES[name]))
        head = f"{key}{draw(SPACE)}:{draw(SPACE)}"
        found.append(Member(name, draw(SPACE), head, value, draw(SPACE)))
    return found


def text(members: list[Member]) -> bytes:
    inner = ",".join(m.before + m.head + m.value + m.after for m in members)
    return f"{{{inner}}}".encode()


@given(chunks=st.lists(chunk_members(), max_size=4), keep_usage=st.booleans(), data=st.data())
def test_any_object_gets_the_same_edit(
    chunks: list[list[Member]], keep_usage: bool, data: st.DataObject
) -> None:
    expected: list[tuple[Pairs, list[Member], bool]] = []
    for members in chunks:
        last = {m.name: m.value for m in members}
        only_usage = (
            last.get("usage", "null") != "null"
            and not json.loads(last.get("choices", "null"))
            and all(
                # Of two members with one name the last counts.
                key in ENVELOPE or value in ([], "")
                for key, value in dict(pairs(text(members))).items()
            )
        )
        if only_usage and not keep_usage:
            continue
        after = [
            (key, "mine" if key == "model" else value)
            for key, value in pairs(text(members))
            if keep_usage or key != "usage"
        ]
        kept = [m for m in members if keep_usage or m.name != "usage"]
        expected.append((after, kept, kept == members))
    stream = b"".join(encode(SseEvent(text(members))) for members in chunks)
    cut = data.draw(st.integers(0, len(stream)))
    outcome = feed([stream[:cut], stream[cut:]], keep_usage=keep_usage, limit=1 << 20)
    assert outcome == feed([stream], keep_usage=keep_usage, limit=1 << 20)
    shown = [found.data or b"" for found in SseDecoder().feed(outcome.output)]
    assert [pairs(each) for each in shown] == [after for after, _, _ in expected]
    assert outcome.malformed == 0
    for output, (_, kept, whole) in zip(shown, expected, strict=True):
        named = [m._replace(value=MODEL.decode()) if m.name == "model" else m for m in kept]
        if whole:
            assert output == text(named)
        # White space next to what was taken out may go with it; no member's own text may.
        at = 0
        for member in named:
            piece = (member.head + member.value).encode()
            at = output.index(piece, at) + len(piece)


@given(st.lists(st.binary(max_size=30), max_size=10), st.booleans())
def test_any_bytes_are_survived_and_splits_make_no_difference(
    chunks: list[bytes], keep_usage: bool
) -> None:
    stream = b"".join(chunks)
    whole = feed([stream], keep_usage=keep_usage, limit=64)
    assert feed(chunks, keep_usage=keep_usage, limit=64) == whole
    assert DONE not in whole.output


ONE = b'{"choices":[{"index":0,"delta":{"content":"a"}}]}'
END = b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
TIMED = END[:-1] + b',"timings":{"prompt_n":7,"predicted_n":3}}'


def _fed(*events: bytes) -> Outcome:
    stream = b"".join(b"data: %b\n\n" % each for each in events)
    return feed([stream], keep_usage=False, limit=1000)


@pytest.mark.parametrize(
    "event",
    [
        b'{"choices":[],"error":{"message":"x","code":502},"usage":%b}' % USAGE,
        b'{"choices":[{"index":0,"delta":{},"usage":%b}]}' % USAGE,
        b'{"x":"\\ud83d","choices":[],"x_groq":{"usage":%b}}' % USAGE,
        b'{"x":"\\ud83d","choices":[{"index":0,"delta":{},"usage":%b}]}' % USAGE,
        b'{"choices":[],"timings":{"prompt_n":7,"predicted_n":3}}',
    ],
)
def test_usage_counts_wherever_it_stands(event: bytes) -> None:
    assert _fed(ONE, event).usage == Usage(7, 3)


@pytest.mark.parametrize(
    "event",
    [
        b'{"choices":[{"index":0,"delta":{},"finish_reason":null}],"x_groq":{"error":"over_capacity"}}',
        b'{"choices":null,"base_resp":{"status_code":1002,"status_msg":"rate limit"}}',
        b'{"error_code":18,"error_msg":"limit reached"}',
        b'{"errors":[{"code":7009,"message":"x"}],"success":false}',
        b'{"choices":[{"index":0,"delta":{},"finish_reason":"insufficient_system_resource"}]}',
        b'{"choices":[{"index":0,"delta":{},"finish_reason":"ERROR"}]}',
        b'[{"error":{"code":429,"message":"x","status":"RESOURCE_EXHAUSTED"}}]',
        b'{"request_id":"r","code":"DataInspectionFailed","message":"x"}',
        b'{"code":50505,"message":"x","data":null}',
        b'{"statusCode":500,"message":"x"}',
        b'{"detail":"Internal Server Error"}',
        b'{"detail":[{"loc":["body"],"msg":"x"}]}',
    ],
)
def test_errors_of_single_providers_end_a_stream(event: bytes) -> None:
    for events in ((event,), (ONE, event)):
        error = _fed(*events).error
        assert error is not None
        assert json.loads(error)["error"]["message" if b"7009" not in event else "code"]


@pytest.mark.parametrize(
    "event",
    [
        b'{"message":"queued","status":"processing"}',
        b'{"message":"hello"}',
        b'{"code":0,"message":"success","data":{}}',
        b'{"code":"200","message":"ok"}',
        b'{"code":500}',
        b'{"message":{"role":"assistant"},"code":7}',
        b'{"detail":null}',
        b'{"choices":[{"index":0,"delta":{"content":"b"}}],"message":"x","code":7,"detail":"d"}',
    ],
)
def test_what_only_looks_like_an_error_is_passed_on(event: bytes) -> None:
    found = _fed(ONE, event)
    assert found.error is None
    assert event in found.output


# Whether usage is still to come...


@pytest.mark.parametrize(
    ("events", "awaited"),
    [
        ([ONE], True),
        ([b'{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":0}}', ONE, END], True),
        ([ONE, END], True),
        ([ONE, END, b'{"choices":[],"usage":%b}' % USAGE], False),
        ([ONE, END, b'{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":0}}'], False),
        ([ONE, END, b'{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":-1}}'], True),
        ([ONE, TIMED], False),
        ([ONE, TIMED[:-1] + b',"usage":{"prompt_tokens":7}}'], False),
        ([ONE, END[:-1] + b',"timings":{"prompt_n":7}}'], True),
        ([ONE, END[:-1] + b',"x_groq":{"usage":%b}}' % USAGE], False),
    ],
)
def test_usage_is_awaited_until_it_tells_of_the_answer(events: list[bytes], awaited: bool) -> None:
    rewriter = ChatStreamRewriter(b'"m"', keep_usage=False, max_event_bytes=1000)
    for each in events:
        rewriter.feed(b"data: %b\n\n" % each)
    assert rewriter.awaits_usage is awaited
