"""What is known by its form comes out as if it had been read."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.dialects.openai_chat.events.text_form import TextForm
from gateway.core.dialects.openai_chat.stream import ChatStreamRewriter


class NoForm(TextForm):
    def rewritten(self, data: bytes) -> None:
        return None


def event(
    delta: str, rest: str = "", head: str = '"id":"1","model":"theirs",', index: int = 0
) -> str:
    return f'{{{head}"choices":[{{"index":{index},"delta":{delta}}}]{rest}}}'


def said(text: str, name: str = "content") -> str:
    return event(f'{{"{name}":{text}}}')


# What a stream has, and what looks like the event before it and is not.
EVENTS = [
    *(said(f'"{text}"') for text in ("a", "b", "bb", "", "ä", "\u2028", "\\u0061", "\\n", "\\\\")),
    *(
        said(text)
        for text in ('"a","model":"x"', '"a","content":"b"', '"a"}, "x":{"y":"z"', "null")
    ),
    *(
        said(text)
        for text in ("[]", '["a"]', '"a" ', '"\n"', '"\x00"', '"\x7f"', '"a', 'a"', '"a"b"')
    ),
    *(
        said(f'"{text}"', name)
        for name in ("reasoning_content", "refusal", "text")
        for text in "ab"
    ),
    *(event(f'{{"content":"{text}"}}', ',"usage":null') for text in "ab"),
    *(
        event('{"content":"a"}', f',"usage":{usage}')
        for usage in ("{}", '{"prompt_tokens":7}', "3")
    ),
    *(
        event(f'{{"content":"{text}"}}', f',"usage":null,"obfuscation":"{text * 3}"')
        for text in "ab"
    ),
    *(
        event('{"content":"c"}', f',"obfuscation":{fill}')
        for fill in ('"x"', '"x","usage":{}', '""')
    ),
    *(event(f'{{"content":"{text}"}}', ',"obfuscation":"x\\n"') for text in "ab"),
    *(event(f'{{"content":"{text}"}}', index=index) for text in "ab" for index in (0, 1)),
    *(
        event(f'{{"content":"{text}"}}', head=head)
        for text in "ab"
        for head in ("", '"model":"mine",')
    ),
    *(event(f'{{"content":"{text}"}}', ',"model":"theirs"', head="") for text in "ab"),
    *(event(f'{{"role":"{role}","content":"assistant"}}') for role in ("assistant", "user")),
    *(event(f'{{"content":"{text}","reasoning_content":""}}') for text in "ab"),
    *(event(f'{{"content":"","reasoning_content":"{text}"}}') for text in "ab"),
    *(event(f'{{"content":"{text}","reasoning":"{text}"}}') for text in "ab"),
    *(
        event('{"content":"a"}', rest)
        for rest in (',"error":null', ',"error":{"code":1}', ',"timings":{}')
    ),
    '{"model":"x","choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}',
    '{"model":"x","choices":[{"delta":{"content":"a"},"finish_reason":null}]}',
    '{"model":"x","choices":[{"delta":{"content":"b"},"finish_reason":null}]}',
    '{"model":"x","choices":[{"delta":{"content":"a"},"error":"e"}]}',
    '{"model":"x","choices":[{"delta":{"content":"a"},"usage":{"prompt_tokens":7}}]}',
    '{"model":"x","choices":[{"delta":{"content":"b"},"usage":{"prompt_tokens":9}}]}',
    '{"model":"x","choices":[{"delta":{"content":"a"}},{"index":1,"delta":{"content":"a"}}]}',
    '{"model":"x","x":{"content":"a"},"choices":[{"delta":{"content":"a"}}]}',
    '{"model":"x","x":{"content":"b"},"choices":[{"delta":{"content":"b"}}]}',
    *('{"model":"x","choices":[]}', "{}", "7", "[DONE]", "ping", '{"choices":[{"delta":"a"}]}'),
]


def outcome(stream: list[bytes], form: TextForm, *, keep_usage: bool) -> dict[str, Any]:
    rewriter = ChatStreamRewriter(
        b'"mine"', keep_usage=keep_usage, max_event_bytes=1 << 20, choices=2
    )
    rewriter._form = form
    output = b"".join(rewriter.feed(b"data: %b\n\n" % each) for each in stream) + rewriter.end()
    names = ("meaningful", "progressed", "done", "finished", "said", "error", "broken")
    more = {name: getattr(rewriter, name) for name in (*names, "usage", "events", "malformed")}
    return {"output": output, **more}


PIECE = st.one_of(
    st.sampled_from([each.encode() for each in EVENTS]),
    st.binary(max_size=12).map(lambda text: said('"%s"').encode() % text.replace(b"\n", b"")),
    st.text(max_size=12).map(lambda text: said(json.dumps(text, ensure_ascii=False)).encode()),
)


@given(st.lists(PIECE, max_size=12), st.booleans())
@example([each.encode() for each in EVENTS[:-6]], False)
@example([said('"a"').encode(), said('"\xff"').encode("latin-1"), said('"b"').encode()], True)
def test_it_makes_no_difference(stream: list[bytes], keep_usage: bool) -> None:
    stream = [each.replace(b"\r", b"") for each in stream]
    known = outcome(stream, TextForm(), keep_usage=keep_usage)
    assert known == outcome(stream, NoForm(), keep_usage=keep_usage)


@pytest.mark.slow
def test_nor_after_any_other() -> None:
    """Each event, learned and then followed by each."""
    for first, second in product(EVENTS, repeat=2):
        stream = [said('"a"').encode(), first.encode(), second.encode(), second.encode()]
        known = outcome(stream, TextForm(), keep_usage=False)
        assert known == outcome(stream, NoForm(), keep_usage=False), (first, second)


@pytest.mark.parametrize("name", ["content", "reasoning_content", "reasoning", "refusal"])
@pytest.mark.parametrize("rest", ["", ',"usage":null', ',"usage":null,"obfuscation":"%s"'])
def test_text_after_text_is_of_one_form(name: str, rest: str) -> None:
    form = TextForm()

    def piece(number: int) -> bytes:
        fill = rest % ("x" * number) if "%" in rest else rest
        return event(f'{{"{name}":"text {number}"}}', fill).encode()

    stream = [piece(number) for number in range(1, 20)]
    assert form.rewritten(stream[0]) is None
    shown = outcome(stream, form, keep_usage=False)["output"].split(b"\n\n")
    expected = piece(19).replace(b"theirs", b"mine").replace(b',"usage":null', b"")
    assert shown[18] == b"data: " + expected
    assert form.rewritten(piece(300)) is not None
    assert form.size == len("text 300")


def test_what_is_counted_is_the_text() -> None:
    rewriter = ChatStreamRewriter(b'"mine"', keep_usage=False, max_event_bytes=1 << 20)
    for _ in range(100):
        rewriter.feed(b"data: " + said('"twelve bytes"').encode() + b"\n\n")
    assert rewriter._text.size == 1200


def test_where_no_event_is_like_the_one_before_it_stops_learning() -> None:
    learned = []

    class Counting(TextForm):
        def learn(self, data: bytes, delta: bytes, rewritten: bytes) -> None:
            before = self._credit
            super().learn(data, delta, rewritten)
            learned.append(self._credit < before)

    stream = [
        event('{"content":"a"}', head=f'"created":{number},"model":"theirs",').encode()
        for number in range(1000)
    ]
    outcome(stream, Counting(), keep_usage=False)
    assert sum(learned) == 8
