from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.core.capture.capture import Capture, CapturedRequest, CapturePolicy, MemoryBudget
from gateway.core.capture.json_path import REDACTED, parse_path
from gateway.core.capture.transcript import CUT_OFF, UNREADABLE, Content, Transcript, decode, encode
from gateway.core.records.record import EndReason, Record

from ...rounds import swept

KEY = b"sk-canary-0123456789"
# Of the request and the answer below.
HEADERS = len("authorizationBearer ") + len(KEY) + len("accept*/*") + len("content-typex")
BODY = b'{"model":"m","messages":[{"role":"user","content":"hidden one"}],"user":"hidden two"}'
STREAM = (
    b": keep-alive\n\n"
    b'data: {"choices":[{"delta":{"content":"hidden three"}}]}\n\n'
    b'event: x\r\nid: 7\r\ndata: {"a":1}\r\n\r\n'
    b"data: [DONE]\n\n"
)
GOLDEN = sorted((Path(__file__).parents[2] / "golden").glob("*.sse"))
PATHS = ("messages[*].content", "user", "choices[*].delta.content", "choices[*].message.content")


def make(
    *pieces: bytes,
    body: bytes = BODY,
    paths: tuple[str, ...] = (),
    max_bytes: int = 1 << 20,
    stream: bool = True,
    status: int | None = 200,
    record: Record | None = None,
    **more: Any,
) -> Capture:
    request = CapturedRequest(
        **{
            "request_id": "req_1",
            "time": 1_700_000_000.5,
            "token": "t",
            "model": "m",
            "method": "POST",
            "target": "/v1/chat/completions",
            "headers": ((b"authorization", b"Bearer " + KEY), (b"accept", b"*/*")),
            "body": body,
            "arrived": 10.0,
            "secrets": (KEY,),
            "marks": frozenset({b"[DONE]"}),
            **more,
        }
    )
    policy = CapturePolicy(max_bytes=max_bytes, paths=tuple(map(parse_path, paths)))
    capture = Capture(request, policy, MemoryBudget(1 << 30))
    if status is not None:
        capture.head(status, ((b"content-type", b"x"),), 10.25, stream=stream)
    for number, piece in enumerate(pieces):
        capture.add(piece, 10.5 + number)
    capture.record = record or Record(request_id="req_1", time=1.0, status=200)
    return capture


def written(capture: Capture) -> tuple[bytes, Transcript]:
    lines = list(encode(capture))
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    found = decode(lines)
    assert found is not None
    return b"".join(lines), found


def test_a_whole_answer() -> None:
    record = Record(request_id="req_1", time=1.0, status=200, end_reason=EndReason.COMPLETE)
    answer = b'{"choices":[{"message":{"content":"hi"}}]}'
    _, found = written(make(answer, stream=False, record=record))
    assert found.request.id == "req_1"
    assert (found.request.time, found.request.token, found.request.model) == (
        1_700_000_000.5,
        "t",
        "m",
    )
    assert found.request.headers == [("authorization", REDACTED), ("accept", "*/*")]
    assert found.request.body.data == BODY
    assert (found.request.size, found.request.truncated) == (len(BODY), False)
    assert not found.request.redacted
    assert found.answer is not None
    assert (found.answer.at_ms, found.answer.status, found.answer.stream) == (250.0, 200, False)
    assert found.body is not None
    assert (found.body.at_ms, found.body.body.data) == (500.0, answer)
    assert found.end is not None
    assert found.end.record == msgspec.to_builtins(record)
    assert (found.end.lost, found.end.truncated) == (0, False)
    assert found.events == []


def test_the_events_of_a_stream_with_their_times() -> None:
    first, second, third = STREAM[:20], STREAM[20:100], STREAM[100:]
    _, found = written(make(first, second, third))
    assert [(event.at_ms, event.data, event.name, event.id) for event in found.events] == [
        (500.0, None, "", None),
        (1500.0, '{"choices":[{"delta":{"content":"hidden three"}}]}', "", None),
        (2500.0, '{"a":1}', "x", "7"),
        (2500.0, "[DONE]", "", None),
    ]
    assert found.events[0].comment == ": keep-alive"
    assert found.body is None


def test_how_a_stream_was_cut_makes_no_difference() -> None:
    sizes = (1, 2, 3, 7, 50)
    for number, text in enumerate([STREAM, *(path.read_bytes() for path in GOLDEN)]):
        for begin, paths in enumerate(((), PATHS), start=number):
            _, whole = written(make(text, paths=paths))
            expected = [(event.data, event.name, event.id, event.comment) for event in whole.events]
            assert expected
            # Of the first text each, of the others some, by turns.
            tried = [sizes[each - 1] for each in swept(len(sizes), begin, 3 if number else 1)]
            for size in tried:
                pieces = [text[at : at + size] for at in range(0, len(text), size)]
                _, found = written(make(*pieces, paths=paths))
                assert [
                    (event.data, event.name, event.id, event.comment) for event in found.events
                ] == expected
                assert found.body == (
                    whole.body and msgspec.structs.replace(whole.body, at_ms=found.body.at_ms)
                    if found.body
                    else None
                )


LINES = (
    b'{"message":{"content":"hidden three"},"done":false}\n'
    b'\r\n{"message":{"content":"a: b\\n"}}\r\n{"done":true}\n'
)


def test_a_stream_of_lines_of_json_is_events_however_it_is_cut() -> None:
    for size in (1, 5, 30, len(LINES)):
        pieces = [LINES[at : at + size] for at in range(0, len(LINES), size)]
        _, found = written(make(*pieces, paths=("message.content",)))
        hidden = f'{{"message":{{"content":"{REDACTED}"}}'
        assert [each.data for each in found.events] == [
            hidden + ',"done":false}', hidden + "}", '{"done":true}',
        ]  # fmt: skip
        assert found.body is None
    _, cut = written(make(LINES[:60]))
    assert len(cut.events) == 1
    assert cut.body is not None
    assert cut.body.body.text == LINES[54:60].decode()
    assert len(found.events) == 3


def test_paths_are_taken_out_everywhere_however_a_stream_is_cut() -> None:
    record = Record(request_id="req_1", time=1.0, user="hidden two")
    for size in range(1, len(STREAM) + 1):
        pieces = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
        text, found = written(make(*pieces, paths=PATHS, record=record))
        assert b"hidden" not in text
        assert found.events[1].data == '{"choices":[{"delta":{"content":"[redacted]"}}]}'
        assert found.events[3].data == "[DONE]"
        assert found.request.redacted
    assert found.end is not None
    assert found.end.record is not None
    assert found.end.record["user"] == REDACTED
    answer = b'{"choices":[{"message":{"content":"hidden"}}]}'
    text, _ = written(make(answer[:9], answer[9:], paths=PATHS, stream=False))
    assert b"hidden" not in text


def test_what_was_cut_off_is_not_kept_in_clear() -> None:
    for max_bytes in range(16, len(BODY) + len(STREAM) + 100):
        for stream in (True, False):
            capture = make(STREAM, paths=PATHS, max_bytes=max_bytes, stream=stream)
            text, found = written(capture)
            assert b"hidden" not in text
            if max_bytes < len(BODY):
                assert found.request.truncated
                assert found.request.body == Content(withheld=CUT_OFF)
                assert found.end is not None
                assert found.end.truncated
            if stream and capture.lost and found.body is not None:
                assert found.body.body == Content(withheld=CUT_OFF)


def test_what_cannot_be_read_is_not_kept_in_clear() -> None:
    text, found = written(
        make(b"data: hidden {\n\ndata: {}\n\ndata: hid", body=b"hidden", paths=PATHS)
    )
    assert b"hidden" not in text
    assert b"hid" not in text.replace(b"could", b"")
    assert found.request.body.withheld == UNREADABLE
    assert [event.data for event in found.events] == [f"[{UNREADABLE}]", "{}"]
    assert found.body is not None
    assert found.body.body.withheld == CUT_OFF


def test_without_paths_what_was_cut_off_is_kept_as_it_is() -> None:
    _, found = written(make(b"data: {}\n\ndata: {", b'"a"', max_bytes=len(BODY) + HEADERS + 33))
    assert [event.data for event in found.events] == ["{}"]
    assert found.body is not None
    assert found.body.body == Content("data: {")
    assert found.end is not None
    assert (found.end.lost, found.end.truncated) == (3, True)
    _, found = written(make(max_bytes=20))
    assert found.request.body.data == BODY[:20]
    assert (found.request.truncated, found.request.size) == (True, len(BODY))


def test_the_key_goes_from_every_line() -> None:
    text = KEY.decode()
    record = Record(
        request_id="req_1",
        time=1.0,
        error=f"incorrect {text}",
        user=text,
        metadata={"x": text},
        user_agent=text,
    )
    data = json.dumps({"error": {"message": f"incorrect {text}"}}).encode()
    for answer in (
        b"data: " + data + b"\n\n",
        b"event: " + KEY + b"\nid: " + KEY + b"\n: " + KEY + b"\ndata: x\n\n",
        b"data: " + KEY[:9],
        b"data: x" + KEY,
    ):
        for stream in (True, False):
            for max_bytes in (1 << 20, 230, 240):
                capture = make(
                    answer,
                    body=BODY[:-2] + KEY + b'"}',
                    record=record,
                    stream=stream,
                    max_bytes=max_bytes,
                    model=f"m{text}",
                    request_id=f"r-{text}",
                    target=f"/v1?x={text}&key=hunter2",
                )
                assert KEY[:9] not in b"".join(encode(capture)) or answer.endswith(KEY[:9])
    capture = make(body=BODY + KEY[:10] + b"more", max_bytes=len(BODY) + 10)
    assert b"sk-c" not in b"".join(encode(capture))


def test_a_key_that_looks_like_a_line_breaks_none() -> None:
    key = b'","size":1,"x":"'
    _, found = written(make(b"data: {}\n\n", body=b"{}", secrets=(key,)))
    assert found.request.size == 2
    _, found = written(make(b"data: {}\n\n", body=b'{"a":"","size":1,"x":""}', secrets=(key,)))
    assert found.request.body.text == '{"a":"[redacted]"}'
    assert found.end is not None


def test_what_is_no_text_is_kept_in_base64() -> None:
    _, found = written(make(b"\xff\xfe", body=b"\x80{}", stream=False))
    assert found.request.body.encoding == "base64"
    assert found.request.body.data == b"\x80{}"
    assert found.body is not None
    assert found.body.body.data == b"\xff\xfe"
    # A cut through a character does not make the rest unreadable.
    _, found = written(make(body="ж".encode() * 50, max_bytes=51))
    assert found.request.body == Content("ж" * 25)


def test_no_answer_and_an_empty_one() -> None:
    _, found = written(make(status=None))
    assert (found.answer, found.body, found.events) == (None, None, [])
    for stream in (True, False):
        _, found = written(make(stream=stream))
        assert found.answer is not None
        assert (found.body, found.events) == (None, [])


@pytest.mark.parametrize(
    "lines",
    [[], [b"\n"], [b"{}"], [b"no json"], [b'{"kind":"end"}'], [b"[" * 5000], [b"\xff"]],
)
def test_what_is_no_transcript(lines: list[bytes]) -> None:
    assert decode(lines) is None


def test_a_damaged_transcript_ends_where_the_damage_is() -> None:
    lines = list(encode(make(STREAM)))
    for number in range(1, len(lines)):
        found = decode([*lines[:number], b"damage", *lines[number:]])
        assert found is not None
        assert (found.end, len(found.events)) == (None, max(0, number - 2))
    found = decode([*lines, *lines])
    assert found == decode(lines)


def test_later_versions_may_say_more() -> None:
    lines = [line.replace(b'{"kind"', b'{"new":1,"kind"') for line in encode(make(STREAM))]
    found = decode(lines)
    assert found is not None
    assert found.end is not None
