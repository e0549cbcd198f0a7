from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from html import escape
from urllib.parse import quote

import pytest

from gateway.core.dialects.bedrock_converse.frames import event_frame, exception_frame
from gateway.core.wire.binary.event_stream import frames_in
from gateway.proxy.attempts.own_keys import KeyMask, mask_of
from gateway.proxy.outcomes import Failed, RawAnswer
from gateway.proxy.protocols import HeaderPairs

KEY = b"sk-proj/12+ab_34=."
MASK = KeyMask((KEY,))


def in_json(*, upper: bool = False) -> bytes:
    digits = b"%02X" if upper else b"%02x"
    return b"".join(b"\\u00" + digits % byte for byte in KEY)


SPELLINGS = {
    "as it is": KEY,
    "slash": KEY.replace(b"/", b"\\/"),
    "hyphen": KEY.replace(b"-", b"\\u002d"),
    "capitals": KEY.replace(b"-", b"\\u002D"),
    "all of it": in_json(),
    "all of it in capitals": in_json(upper=True),
    "quoted twice": KEY.replace(b"-", b"\\\\u002d").replace(b"/", b"\\\\\\/"),
    "mixed": KEY.replace(b"-", b"\\u002d").replace(b"/", b"\\/"),
}
ERRORS_ONLY = {
    "python": KEY.replace(b"-", b"\\x2d"),
    "address": quote(KEY).encode().replace(b"/", b"%2F"),
    "whole address": b"".join(b"%%%02x" % byte for byte in KEY),
    "address in an address": quote(quote(KEY, safe="")).encode(),
    "hexadecimal": KEY.hex().encode(),
    "hexadecimal in capitals": (b"x" + KEY).hex().upper().encode(),
    "page": escape(KEY.decode()).encode().replace(b"/", b"&#47;").replace(b"=", b"&#x3D;"),
    "base64": b64encode(KEY),
    "base64 behind one": b64encode(b"x" + KEY + b"yz"),
    "base64 of basic auth": b64encode(b"me:" + KEY),
    "base64 of a bearer": b64encode(b"Bearer " + KEY),
    "base64 in addresses": urlsafe_b64encode(b"?>" + KEY),
}


@pytest.mark.parametrize("spelled", [*SPELLINGS.values(), *ERRORS_ONLY.values()])
def test_errors(spelled: bytes) -> None:
    clean = MASK.error(b'{"error":{"message":"bad key ' + spelled + b'."}}')
    assert b"***" in clean
    assert clean.startswith(b'{"error":{"message":"bad key ')
    assert spelled[4:-4] not in clean


@pytest.mark.parametrize("spelled", SPELLINGS.values(), ids=SPELLINGS)
def test_answers(spelled: bytes) -> None:
    for frame in (b'data: {"content":"%b"}\n\n', b": %b\n\n", b'{"id":"%b","n":"\\n\\u003c"}'):
        assert MASK.answer(frame % spelled) == frame % b"***"


def test_frames_with_checksums_stay_whole() -> None:
    said = [
        event_frame("contentBlockDelta", b'{"delta":{"text":"%b"}}' % KEY),
        event_frame("x", b"{}"),
    ]
    said.append(exception_frame("validationException", b'{"message":"' + KEY + b'"}', KEY.decode()))
    for mask in (MASK.answer, MASK.error):
        found = frames_in(mask(b"".join(said)))
        assert found is not None
        assert [each.payload for each in found] == [
            b'{"delta":{"text":"***"}}', b"{}", b'{"message":"***"}'
        ]  # fmt: skip
        assert found[2].headers[":error-message"] == "***"
        assert found[1].raw == said[1]
    # What only begins like one is no frame.
    assert MASK.answer(said[0][:-1]) == said[0][:-1].replace(KEY, b"***")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b'data: {"content":"\\u003cb\\u003e \\/ 100% sk-proj"}\n\n',
        b'data: {"content":"' + KEY[:-1] + b'"}\n\n',
        b": keep-alive\n\n",
    ],
)
def test_what_has_no_key_is_passed_as_it_is(data: bytes) -> None:
    assert MASK.answer(data) is data
    assert MASK.error(data) == data


@pytest.mark.parametrize("word", [b"lm-studio", b"not-needed", b"sk-no-key-required", b"anything"])
def test_words_are_no_secret_in_an_answer(word: bytes) -> None:
    mask = KeyMask((word,))
    text = b'data: {"content":"' + word + b'"}\n\n'
    assert mask.answer(text) == text
    assert mask.answer(b": for " + word + b"\n\n" + text) == b": for ***\n\n" + text
    assert mask.error(word) == b"***"


def test_headers() -> None:
    good: HeaderPairs = [(b"x-request-id", b"req_1"), (b"content-type", b"text/plain")]
    assert MASK.headers(good) is good
    for value in (KEY, b"org-" + KEY, quote(KEY).encode(), b64encode(KEY), in_json()):
        for name in (b"x-request-id", b"openai-organization", b"content-type", b"retry-after"):
            assert MASK.headers([*good, (name, value)]) == good


def test_failures() -> None:
    answer = RawAnswer(400, [], b'{"a":"' + SPELLINGS["hyphen"] + b'"}')
    failed = Failed(None, "400 " + KEY.decode(), 400, None, answer, "told")  # type: ignore[arg-type]
    clean = MASK.failed(failed)
    assert (clean.message, clean.answer and clean.answer.body, clean.told) == (
        *("400 ***", b'{"a":"***"}'),
        "",
    )
    harmless = Failed(None, "400 no", 400, None, RawAnswer(400, [], b"no"), "no")  # type: ignore[arg-type]
    assert MASK.failed(harmless) is harmless


def test_where_the_keys_of_a_call_are() -> None:
    mask = mask_of(
        (
            (b"authorization", b"Bearer sk-abcdefgh-1"),
            (b"x-team-token", b"tok-12345678"),
            (b"user-agent", b"agent-12345678"),
            (b"x-short-key", b"abc"),
        )
    )
    said = b"sk-abcdefgh-1 tok-12345678 agent-12345678 abc"
    assert mask.error(said) == b"*** *** agent-12345678 abc"
    assert mask_of(()).answer(said) is said
