from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.cache.key import cache_key
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_chat.request import ChatRequest, parse_chat
from gateway.core.limits.estimate import estimate_tokens
from gateway.core.records.pricing import Prices
from gateway.core.routing.call import Origin
from gateway.core.routing.deployment import Credential, Deployment
from gateway.core.routing.timeouts import Timeouts
from gateway.errors import InvalidRequest
from gateway.providers.failures import OPENAI_COMPATIBLE


def deployment(model: str = "theirs", *, stream_usage: bool = True) -> Deployment:
    return Deployment(
        provider="p",
        model=model,
        model_json=json.dumps(model).encode(),
        origin=Origin("https", "api.example.com", 443),
        dialect=OPENAI_CHAT,
        target=b"/v1/chat/completions",
        stream_target=b"/v1/chat/completions",
        refusals=OPENAI_COMPATIBLE,
        credentials=(Credential(stream_headers=(), plain_headers=()),),
        timeouts=Timeouts(),
        prices=Prices(),
        stream_usage=stream_usage,
    )


def sent(body: bytes, *, stream_usage: bool = True) -> bytes:
    return parse_chat(body).body_for(deployment(stream_usage=stream_usage))


# What is refused...


@pytest.mark.parametrize(
    ("body", "code", "param", "says"),
    [
        (b"", "invalid_json", None, "the body is empty"),
        (b" \n", "invalid_json", None, "not valid JSON"),
        (b"{", "invalid_json", None, "not valid JSON"),
        (b'{"model":"x"', "invalid_json", None, "not valid JSON"),
        (b'{"model":"x"}}', "invalid_json", None, "something follows"),
        (b'{"model":"x",}', "invalid_json", None, "not valid JSON"),
        (b"{'model':'x'}", "invalid_json", None, "double quotes"),
        (b'{"model":"x","t":NaN}', "invalid_json", None, "NaN is not JSON"),
        (b'{"model":"x","t":[Infinity]}', "invalid_json", None, "Infinity is not JSON"),
        (b'{"model":"x","t":{"a":-Infinity}}', "invalid_json", None, "-Infinity is not JSON"),
        (b'{"model":"x","t":"\xff"}', "invalid_json", None, "not UTF-8 (byte 18)"),
        (b'{"model":"x","t":"\xed\xa0\x80"}', "invalid_json", None, "not UTF-8"),
        (b'\xef\xbb\xbf{"model":"x"}', "invalid_json", None, "byte order mark"),
        (b'{"model":"x","t":"a\nb"}', "invalid_json", None, "control character"),
        (b'{"model":"x","t":' + b"[" * 3000 + b"]" * 3000 + b"}", "invalid_json", None, "deep"),
        (b'{"t":' * 3000 + b"1" + b"}" * 3000, "invalid_json", None, "deep"),
        (b"[]", "invalid_json", None, "must be a JSON object"),
        (b'"model"', "invalid_json", None, "must be a JSON object"),
        (b"null", "invalid_json", None, "must be a JSON object"),
        (b"7", "invalid_json", None, "must be a JSON object"),
        (b'{"model":"x","model":"y"}', "duplicate_key", "model", "'model'"),
        (b'{"model":"x","Model":"y"}', "duplicate_key", "Model", "differ only in case"),
        (b'{"model":"x","m\\u006fdel":"y"}', "duplicate_key", "model", "'model'"),
        (b'{"model":"x","stream":true,"STREAM":false}', "duplicate_key", "STREAM", "in case"),
        (b'{"model":"x","a":1,"a":1}', "duplicate_key", "a", "'a'"),
        (b'{"model":"x","\\ud800":1,"\\ud800":2}', "duplicate_key", "\\ud800", "duplicate"),
        (b"{}", "invalid_request", "model", "must provide a model"),
        (b'{"Model":"x"}', "disguised_member", "model", "must be written 'model'"),
        (b'{"x":{"model":"y"}}', "invalid_request", "model", "must provide a model"),
        (b'{"model":""}', "invalid_request", "model", "must not be empty"),
        (b'{"model":null}', "invalid_request", "model", "must be a string"),
        (b'{"model":7}', "invalid_request", "model", "must be a string"),
        (b'{"model":["x"]}', "invalid_request", "model", "must be a string"),
        (b'{"model":"\\ud800"}', "invalid_request", "model", "must be a string"),
        (b'{"model":"x","stream":1}', "invalid_request", "stream", "true or false"),
        (b'{"model":"x","stream":"true"}', "invalid_request", "stream", "true or false"),
        (b'{"model":"x","stream":[]}', "invalid_request", "stream", "true or false"),
        (b'{"model":"x","stream_options":[]}', "invalid_request", "stream_options", "an object"),
        (b'{"model":"x","stream_options":true}', "invalid_request", "stream_options", "an object"),
        (
            b'{"model":"x","stream_options":{"include_usage":1}}',
            "invalid_request",
            "stream_options",
            "include_usage must be true or false",
        ),
    ],
)
def test_refused(body: bytes, code: str, param: str | None, says: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_chat(body)
    error = caught.value
    assert (error.status, error.code, error.param) == (400, code, param)
    assert error.type == "invalid_request_error"
    assert says in error.message
    # It can be sent.
    assert error.message.encode()


@given(st.binary(max_size=80) | st.text('{}[]":,model 1\\x', max_size=40).map(str.encode))
def test_anything_is_either_read_or_refused(body: bytes) -> None:
    try:
        model = parse_chat(body).model
    except InvalidRequest:
        return
    assert json.loads(body)["model"] == model


@pytest.mark.parametrize("place", [b'"q":%b', b'"stream_options":{"z":%b}'])
def test_no_depth_is_an_accident(place: bytes) -> None:
    for depth in (*range(1, 900, 90), *range(900, 1100)):
        for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
            nested = opening * depth + b"1" + closing * depth
            try:
                request = parse_chat(b'{"model":"x",' + place % nested + b"}")
            except InvalidRequest:
                assert depth > 500
            else:
                assert request.body_for(deployment()).endswith(b"}")


LARGE = b'"%b"' % (b"z" * 300_000)


@pytest.mark.parametrize("streams", [b"true", b"false", b"null"])
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (b"{" + b",".join(b'"k%d":1' % n for n in range(4097)) + b"}", "more than 512 members"),
        (b'{"a":1,"a":2,"z":' + LARGE + b"}", "more than once"),
        (b'{"a":' + b"[" * 3000 + b"]" * 3000 + b"}", "deep"),
    ],
    ids=["many", "twice", "deep"],
)
def test_options_that_cannot_be_rewritten_are_refused_when_read(
    options: bytes, says: str, streams: bytes
) -> None:
    with pytest.raises(InvalidRequest, match=says):
        parse_chat(b'{"model":"x","stream":%b,"stream_options":%b}' % (streams, options))


@pytest.mark.parametrize("room", [0, 20, 60, 200, 400])
def test_no_depth_fails_later_than_it_is_read(room: int) -> None:
    """The depth that a parser takes depends on how deep in calls it is called itself."""

    def deeper(levels: int, request: ChatRequest) -> bytes:
        return deeper(levels - 1, request) if levels else request.body_for(deployment())

    for depth in range(800, 1000, 3):
        options = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
        try:
            body = b'{"model":"x","stream":true,"stream_options":%b}' % options
            request = parse_chat(body)
        except InvalidRequest:
            continue
        assert deeper(room, request).endswith(b',"include_usage":true}}')


# Every member that is read, in every shape that JSON has and in some that it has not.
READ = ("model", "stream", "stream_options", "user", "max_tokens", "max_completion_tokens", "n")
SCALARS = st.sampled_from(
    [
        *(b"null", b"true", b"false", b"0", b"7", b"-1", b"1e400", b"-0", b"0.5", b"NaN"),
        *(b"9" * 9, b"9" * 10, b"9" * 5000, b'""', b'"x"', b'"theirs"', b'"\\u0000"'),
        *(b'"\\ud800"', b'"\\ud83d\\ude00"', b'"\xff"', b'"\xc3\xa9"', b'"\n"', b'"' + b"y" * 999),
        *(LARGE, b"tru", b"", b"\xef\xbb\xbf1", b"[]", b"{}"),
    ]
)
KEYS = st.sampled_from(
    [
        *(b'"include_usage"', b'"Include_Usage"', b'"include_us\\u0061ge"', b'"a"', b'""'),
        *(b'"\\ud800"', b'"\xc3\xa9"', b"a", b'"%b"' % (b"k" * 99)),
    ]
)
SPACE = st.sampled_from([b"", b" ", b"\n\t", b" " * 2000])


def nested(inner: bytes, depth: int, opening: bytes) -> bytes:
    return opening * depth + inner + (b"]" if opening == b"[" else b"}") * depth


def as_object(pairs: list[tuple[bytes, bytes]], space: bytes, times: int) -> bytes:
    numbered = [(b'"k%d"' % n, b"1") for n in range(times)]
    between = space + b"," + space
    inside = between.join(key + space + b":" + value for key, value in [*pairs, *numbered])
    return b"{" + space + inside + b"}"


RAW = st.recursive(
    SCALARS,
    lambda inner: (
        st.builds(nested, inner, st.integers(900, 1100), st.sampled_from([b"[", b'{"a":']))
        | st.builds(
            as_object,
            st.lists(st.tuples(KEYS, inner), max_size=3),
            SPACE,
            st.sampled_from([0, 0, 0, 4093, 4096, 4097]),
        )
        | st.lists(inner, max_size=3).map(lambda items: b"[" + b",".join(items) + b"]")
    ),
    max_leaves=4,
)


@settings(deadline=None)
@given(
    members=st.dictionaries(st.sampled_from(READ), RAW, max_size=4),
    valid=st.booleans(),
    stream=st.sampled_from([b"true", b"false", b"null"]),
    space=SPACE,
)
def test_nothing_that_a_caller_sends_is_an_error_of_ours(
    members: dict[str, bytes], valid: bool, stream: bytes, space: bytes
) -> None:
    if valid:  # so that the other members are looked at, and a body is made
        members = {**members, "model": b'"x"', "stream": stream}
    pairs = [(b'"%b"' % name.encode(), value) for name, value in members.items()]
    body = as_object(pairs, space, 0)
    try:
        request = OPENAI_CHAT.read_request(body)
    except InvalidRequest:
        return
    for stream_usage in (True, False):
        assert request.body_for(deployment(stream_usage=stream_usage))
    estimate_tokens(body, request.answer_tokens)
    cache_key("d", "n", b"", request.model, b"", body)


# What is read...


@pytest.mark.parametrize(
    ("rest", "stream", "wants_usage"),
    [
        (b"", False, False),
        (b',"stream":false', False, False),
        (b',"stream":null', False, False),
        (b',"stream":true', True, False),
        (b',"str\\u0065am" : true ', True, False),
        (b',"stream":true,"stream_options":null', True, False),
        (b',"stream":true,"stream_options":{}', True, False),
        (b',"stream":true,"stream_options":{"include_usage":null}', True, False),
        (b',"stream":true,"stream_options":{"include_usage":false}', True, False),
        (b',"stream":true,"stream_options":{"include_usage":true}', True, True),
        (b',"stream":true,"stream_options":{ "x":1, "include_usage" : true }', True, True),
    ],
)
def test_stream_and_wants_usage(rest: bytes, stream: bool, wants_usage: bool) -> None:
    request = parse_chat(b'{"model":"x"%b}' % rest)
    assert (request.stream, request.wants_usage) == (stream, wants_usage)


def test_a_key_that_is_said_back_is_shortened() -> None:
    key = b'"%b":1' % (b"k" * 100_000)
    with pytest.raises(InvalidRequest) as caught:
        parse_chat(b'{"model":"m",%b,%b}' % (key, key))
    assert caught.value.param is not None
    assert len(caught.value.param) == len(caught.value.message) == 256


def test_model_is_decoded() -> None:
    assert parse_chat(b'{"model":"openai\\/\\u00e9\\ud83d\\ude00"}').model == "openai/é😀"


@pytest.mark.parametrize(
    ("raw", "user"),
    [(b'"u-1"', "u-1"), (b'""', ""), (b"null", None), (b"7", None), (b"{}", None)],
)
def test_user_is_noted_if_it_is_a_string(raw: bytes, user: str | None) -> None:
    assert parse_chat(b'{"model":"x","user":%b}' % raw).user == user


@pytest.mark.parametrize(
    ("rest", "tokens", "answers"),
    [
        (b"", 0, 1),
        (b',"n":4', 0, 4),
        (b',"max_tokens":7', 7, 1),
        (b',"max_tokens":7,"n":4', 28, 4),
        (b',"max_completion_tokens":1,"max_tokens":4000,"n":1.28e2', 512_000, 128),
    ],
)
def test_every_choice_may_take_what_is_allowed(rest: bytes, tokens: int, answers: int) -> None:
    request = parse_chat(b'{"model":"x"%b}' % rest)
    assert (request.answer_tokens, request.answers) == (tokens, answers)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (b'{"Include_Usage":false}', "invalid_request"),
        (b'{"INCLUDE_USAGE":true}', "invalid_request"),
        (b'{"x":{},"Include\\u005fUsage":false}', "invalid_request"),
        (b'{"include_usage":true,"include_usage":false}', "duplicate_key"),
        (b'{"include_usage":true,"Include_Usage":false}', "duplicate_key"),
        (b'{"include_usage":false,"include\\u005fusage":true}', "duplicate_key"),
        (b'{"a":1,"a":2}', "duplicate_key"),
    ],
)
def test_usage_cannot_be_switched_off_in_other_words(options: bytes, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_chat(b'{"model":"x","stream":true,"stream_options":%b}' % options)
    assert (caught.value.code, caught.value.param) == (code, "stream_options")


# What is sent...

INCLUDE = b'"stream_options":{"include_usage":true}'


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # Not streaming: the model and nothing else.
        (b'{"model":"x"}', b'{"model":"theirs"}'),
        (b'{"stream":false,"model":"x"}', b'{"stream":false,"model":"theirs"}'),
        (b'{"model":"x","stream_options":{}}', b'{"model":"theirs","stream_options":{}}'),
        (b' { "model" : "x" , "a":1.0 }\n', b' { "model" : "theirs" , "a":1.0 }\n'),
        # Streaming: usage is asked for...
        (b'{"model":"x","stream":true}', b'{"model":"theirs","stream":true,%b}' % INCLUDE),
        (
            b'{"model":"x","stream":true, "a":1 }',
            b'{"model":"theirs","stream":true, "a":1,%b }' % INCLUDE,
        ),
        # ...in place of what says nothing...
        (
            b'{"model":"x","stream_options":null,"stream":true}',
            b'{"model":"theirs",%b,"stream":true}' % INCLUDE,
        ),
        (
            b'{"model":"x","stream_options":{},"stream":true}',
            b'{"model":"theirs",%b,"stream":true}' % INCLUDE,
        ),
        (
            b'{"model":"x","stream_options":{"include_usage":false},"stream":true}',
            b'{"model":"theirs",%b,"stream":true}' % INCLUDE,
        ),
        # ...beside what says something else...
        (
            b'{"model":"x","stream_options":{"include_obfuscation": false},"stream":true}',
            b'{"model":"theirs","stream_options":{"include_obfuscation": false,'
            b'"include_usage":true},"stream":true}',
        ),
        # ...and left alone if it is there.
        (
            b'{"model":"x","stream_options":{ "include_usage" : true },"stream":true}',
            b'{"model":"theirs","stream_options":{ "include_usage" : true },"stream":true}',
        ),
    ],
)
def test_body_for(body: bytes, expected: bytes) -> None:
    assert sent(body) == expected


@pytest.mark.parametrize(
    "rest",
    [
        b',"stream":true',
        b',"stream":true,"stream_options":{"include_usage":false}',
        b',"stream":true,"stream_options":null',
    ],
)
def test_nothing_is_asked_of_who_refuses_stream_options(rest: bytes) -> None:
    body = b'{"model":"x"%b}' % rest
    assert sent(body, stream_usage=False) == body.replace(b'"x"', b'"theirs"')


def test_the_same_name_is_the_same_body() -> None:
    body = b'{"model":"theirs","messages":[]}'
    assert sent(body) is body


def test_one_request_goes_to_several_deployments() -> None:
    request = parse_chat(b'{"model":"x","messages":["\\u00e9"]}')
    for name in ("a", "longer/name", 'odd"é'):
        body = request.body_for(deployment(name))
        assert json.loads(body)["model"] == name
        assert body.endswith(b',"messages":["\\u00e9"]}')


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    rest=st.dictionaries(st.text(max_size=5).filter(lambda key: key.isdigit()), VALUES),
    stream=st.booleans(),
    options=st.none() | st.dictionaries(st.sampled_from(["a", "include_usage"]), st.booleans()),
    indent=st.sampled_from([None, 1]),
    ascii_only=st.booleans(),
)
def test_unknown_members_arrive_to_the_byte(
    rest: dict[str, Any],
    stream: bool,
    options: dict[str, bool] | None,
    indent: int | None,
    ascii_only: bool,
) -> None:
    value = {"model": "x", "stream": stream, "stream_options": options, **rest}
    body = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "replace")
    value = json.loads(body)
    value["model"] = "theirs"
    if stream:
        value["stream_options"] = (options or {}) | {"include_usage": True}
    after = sent(body)
    assert json.loads(after) == value
    if not rest:
        return
    first = next(iter(rest))
    tail = body[body.index(json.dumps(first, ensure_ascii=ascii_only).encode()) :]
    assert after.endswith(tail)


def test_options_that_are_not_ours_to_read_are_passed_on() -> None:
    options = b'{"a":"\\ud800","b":1e999}'
    request = parse_chat(b'{"model":"x","stream":true,"stream_options":' + options + b"}")
    assert request.usage_options == options[:-1] + b',"include_usage":true}'
