from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.dialects.base import NotAnAnswer
from gateway.core.dialects.openai_chat.answer import rewrite_answer
from gateway.core.dialects.openai_chat.unstreamed import as_stream
from gateway.core.records.usage import Usage

MODEL = b'"mine"'


def test_only_the_model_changes() -> None:
    body = (
        b'{"id":"c1","model" : "theirs",'
        b'"choices":[{"message":{"content":"\\u00e9 \\"model\\":1"}}],\n'
        b'"x":1.50E+2,"usage":{"prompt_tokens":7,"completion_tokens":3}}\n'
    )
    answer = rewrite_answer(body, MODEL)
    assert answer.body == body.replace(b'"theirs"', MODEL)
    assert answer.usage == Usage(input_tokens=7, output_tokens=3)


@pytest.mark.parametrize(
    "body",
    [
        b'{"choices":[{}]}',
        b'{"choices":[{}],"usage":null}',
        b'{"choices":[{}],"usage":"many"}',
        b'{"choices":[{"message":{"content":"\\ud800"}}],"error":null}',
        b'{"choices":[{"message":{"content":"a"}}],"message":"hi","code":7,"detail":"d"}',
        # A provider's own odd mixture of both: the caller has an answer.
        b'{"choices":[{"message":{"content":"a"}}],"error":{"code":1}}',
    ],
)
def test_an_answer_without_model_and_usage_stays_as_it_is(body: bytes) -> None:
    answer = rewrite_answer(body, MODEL)
    assert (answer.body, answer.usage) == (body, None)


def test_text_counts_where_usage_says_nothing_of_it() -> None:
    words = "word " * 250
    choices = f'"choices":[{{"message":{{"role":"assistant","content":"{words}"}}}}]'
    for usage in ("", ',"usage":null', ',"usage":{"prompt_tokens":7,"completion_tokens":0}'):
        assert rewrite_answer(f"{{{choices}{usage}}}".encode(), MODEL).text_tokens == 313
    said = f'{{{choices},"usage":{{"prompt_tokens":7,"completion_tokens":3}}}}'
    assert rewrite_answer(said.encode(), MODEL).text_tokens == 0
    groq = f'{{{choices},"x_groq":{{"usage":{{"prompt_tokens":7,"completion_tokens":3}}}}}}'
    assert rewrite_answer(groq.encode(), MODEL).usage == Usage(7, 3)


def test_each_of_two_models_changes() -> None:
    assert (
        rewrite_answer(b'{"model":1,"model":2,"choices":[{}]}', MODEL).body
        == b'{"model":"mine","model":"mine","choices":[{}]}'
    )


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"id":"a","usage":{}}',
        *(b'{"choices":%b}' % each for each in (b"null", b"{}", b'"x"', b"1", b"true", b"false")),
        *(b'{"choices":%b}' % each for each in (b"[null]", b"[ 1]", b"[\t[]]", b'["x"]')),
    ],
)
def test_an_object_without_choices_is_no_answer(body: bytes) -> None:
    with pytest.raises(NotAnAnswer, match="no choices") as caught:
        rewrite_answer(body, MODEL)
    assert caught.value.error is None
    assert not caught.value.final


@pytest.mark.parametrize("more", [b"", b',"usage":{"prompt_tokens":7,"completion_tokens":0}'])
@pytest.mark.parametrize("choices", [b"[]", b"[ ]", b"[\r\n]"])
def test_an_empty_list_of_choices_is_none_that_was_paid_for(choices: bytes, more: bytes) -> None:
    with pytest.raises(NotAnAnswer, match="no choices") as caught:
        rewrite_answer(b'{"choices":%b%b}' % (choices, more), MODEL)
    assert caught.value.final


@pytest.mark.parametrize("wrap", [b"\xef\xbb\xbf%b", b"[%b]", b" [ %b ]\n", b"\xef\xbb\xbf[%b]"])
def test_what_is_wrapped_around_an_object_is_taken_off(wrap: bytes) -> None:
    whole = b'{"choices":[{"message":{"content":"a"}}]}'
    assert rewrite_answer(wrap % whole, MODEL).body == whole
    error = b'{"error":{"code":400,"message":"too long","status":"INVALID_ARGUMENT"}}'
    for read in (lambda: rewrite_answer(wrap % error, MODEL), lambda: as_stream(wrap % error)):
        with pytest.raises(NotAnAnswer) as caught:
            read()
        assert caught.value.error == error
    assert as_stream(wrap % whole) == as_stream(whole)


@pytest.mark.parametrize(
    "error", ['{"message":"overloaded"}', '"overloaded"', '{"message":"\\ud800"}', "1", "true"]
)
def test_an_error_with_status_200_is_no_answer(error: str) -> None:
    for body in (
        f'{{"error":{error}}}',
        f'{{"choices":null,"error":{error}}}',
        f'{{"choices":[],"error":{error}}}',
        f'{{"choices":[{{"message":{{"role":"assistant","content":""}}}}],"error":{error}}}',
    ):
        with pytest.raises(NotAnAnswer) as caught:
            rewrite_answer(body.encode(), MODEL)
        assert caught.value.error == body.encode()


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"object":"error","message":"x"}', {"object": "error", "message": "x"}),
        (
            b'{"choices":[{"message":{"content":"half"},"finish_reason":"error"}]}',
            {"message": "the provider reports an error", "type": "upstream_error"},
        ),
        (b'{"choices":[{"message":{},"error":{"code":502}}]}', {"code": 502}),
        (
            b'{"choices":[{"message":{"content":""},'
            b'"finish_reason":"insufficient_system_resource"}]}',
            {"message": "the provider reports an error", "type": "upstream_error"},
        ),
        # MiniMax, Baidu, Cloudflare.
        (
            b'{"choices":null,"base_resp":{"status_code":1008,'
            b'"status_msg":"insufficient balance"}}',
            {
                "message": "insufficient balance",
                "type": "upstream_error",
                "param": None,
                "code": 1008,
                "status": 402,
            },
        ),
        (
            b'{"error_code":18,"error_msg":"Open api qps request limit reached"}',
            {
                "message": "Open api qps request limit reached",
                "type": "upstream_error",
                "param": None,
                "code": 18,
                "status": None,
            },
        ),
        (
            b'{"result":null,"success":false,"errors":[{"code":7009,"message":"x"}]}',
            {"code": 7009, "message": "x"},
        ),
        # DashScope, gateways in front of servers, FastAPI.
        (
            b'{"request_id":"r","code":"DataInspectionFailed","message":"x"}',
            {"request_id": "r", "code": "DataInspectionFailed", "message": "x"},
        ),
        (b'{"statusCode":500,"message":"x"}', {"statusCode": 500, "message": "x"}),
        (b'{"status":"503","message":"x"}', {"status": "503", "message": "x"}),
        (
            b'{"detail":"Not Found"}',
            {
                "message": "Not Found",
                "type": "upstream_error",
                "param": None,
                "code": None,
                "status": None,
            },
        ),
    ],
)
def test_other_forms_of_error(body: bytes, error: dict[str, object]) -> None:
    with pytest.raises(NotAnAnswer) as caught:
        rewrite_answer(body, MODEL)
    assert json.loads(caught.value.error or b"")["error"] == error


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"[{},{}]",
        b"[[{}]]",
        b"[1]",
        b"null",
        b'{"choices":[',
        b'{"a":"\xff"}',
        b'{"a":NaN}',
        b"[" * 5000,
    ],
)
def test_what_is_no_object_is_no_answer(body: bytes) -> None:
    with pytest.raises(NotAnAnswer, match="not a JSON object") as caught:
        rewrite_answer(body, MODEL)
    assert not caught.value.error


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.integers())))
def test_any_object_is_rewritten_as_when_decoded(value: dict[str, object]) -> None:
    value = {key: item for key, item in value.items() if key != "error"}
    value |= {"model": "theirs", "choices": [{"message": {"content": "a"}}]}
    answer = rewrite_answer(json.dumps(value).encode(), MODEL)
    assert json.loads(answer.body) == value | {"model": "mine"}


@pytest.mark.parametrize(
    "more",
    [
        b'"base_resp":{"status_code":0,"status_msg":""}',
        b'"errors":[]',
        b'"error_code":0',
        b'"base_resp":null',
    ],
)
def test_members_that_say_that_all_is_well(more: bytes) -> None:
    body = b'{"choices":[{"message":{"content":"a"}}],%b}' % more
    assert rewrite_answer(body, MODEL).body == body


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        (
            b'{"choices":[{"message":{"content":"a"},'
            b'"usage":{"prompt_tokens":1000,"completion_tokens":10,"cached_tokens":900}}]}',
            Usage(1000, 10, 900),
        ),
        (
            b'{"choices":[{"usage":{"prompt_tokens":9,"completion_tokens":1}},'
            b'{"usage":{"prompt_tokens":9,"completion_tokens":2}}]}',
            Usage(9, 3),
        ),
        (
            b'{"choices":[{"message":{"content":"a"}}],"timings":{"prompt_n":32,"predicted_n":9}}',
            Usage(32, 9),
        ),
    ],
)
def test_usage_elsewhere_than_in_usage(body: bytes, usage: Usage) -> None:
    assert rewrite_answer(body, MODEL).usage == usage
