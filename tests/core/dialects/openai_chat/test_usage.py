from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.dialects.openai_chat.usage import read_usage
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
        (b'{"prompt_tokens":7,"completion_tokens":"3"}', Usage(7, 0)),
        (b'{"prompt_tokens":7,"completion_tokens":true}', Usage(7, 0)),
        (b'{"prompt_tokens":7,"completion_tokens":-3}', Usage(7, 0)),
        (b'{"prompt_tokens":7,"completion_tokens":1e300}', Usage(7, 0)),
        (b'{"prompt_tokens":7,"prompt_tokens_details":null}', Usage(7, 0)),
        (b'{"prompt_tokens":7,"prompt_tokens_details":[4]}', Usage(7, 0)),
        (b'{"prompt_tokens":7,"prompt_tokens_details":{"cached_tokens":null}}', Usage(7, 0)),
        (b'{"prompt_tokens":0,"completion_tokens":0}', None),
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
    assert usage is None or usage.input_tokens or usage.output_tokens
