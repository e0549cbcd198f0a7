from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.limits.estimate import MOST_FILES, TOKENS_PER_FILE, estimate_tokens


def image(size: int) -> dict[str, object]:
    url = "data:image/png;base64," + "QUJD" * (size // 4)
    return {"type": "image_url", "image_url": {"url": url}}


def request(*parts: dict[str, object]) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": parts}]}).encode()


@pytest.mark.parametrize(
    ("body", "answer", "tokens"),
    [
        (b"", 0, 0),
        (b"{}", 0, 1),
        (b"x" * 400, 0, 100),
        (b"x" * 401, 0, 101),
        (b"x" * 400, 1000, 1100),
        (b"x" * 400, -5, 100),
        (b"x" * 400, 10**400, 100 + 2**53),
        # Nothing closes it: no JSON, so it counts as what it is.
        (b"x;base64," + b"A" * 391, 0, 100),
        (b";base64,", 0, 2),
        (b'";base64,"', 0, 3),
    ],
)
def test_estimates(body: bytes, answer: int, tokens: int) -> None:
    assert estimate_tokens(body, answer) == tokens


@pytest.mark.parametrize("size", [4_004, 100_000, 3_000_000])
def test_a_file_counts_as_one_however_long_it_is(size: int) -> None:
    frame = estimate_tokens(request(image(0)), 0)
    assert estimate_tokens(request(image(size)), 0) == frame + TOKENS_PER_FILE


def test_a_small_file_counts_by_its_length() -> None:
    frame = estimate_tokens(request(image(0)), 0)
    assert estimate_tokens(request(image(4_000)), 0) == frame + 1000
    assert estimate_tokens(request(image(400)), 0) == frame + 100


def test_every_file_counts_and_so_does_the_text_around_them() -> None:
    text: dict[str, object] = {"type": "text", "text": "word " * 2_000}
    body = request(image(50_000), text, image(8_000), text, image(1_000_000))
    expected = (len(body) - 1_058_000) / 4 + 3 * TOKENS_PER_FILE
    assert estimate_tokens(body, 0) == pytest.approx(expected, abs=1)


def test_more_files_than_anyone_takes_count_by_their_length() -> None:
    one = b'"data:;base64,' + b"A" * 5_000 + b'",'
    most = estimate_tokens(one * MOST_FILES, 0)
    assert most == MOST_FILES * (len(one) - 5_000) // 4 + MOST_FILES * TOKENS_PER_FILE
    assert estimate_tokens(one * (MOST_FILES + 1), 0) == most + len(one) // 4


@pytest.mark.measured
def test_large_bodies_do_not_take_long() -> None:
    # A second at the least, if each of the marks were looked at or each byte by Python.
    bodies = [b'";base64,' * 3_000_000, request(image(30_000_000)), b";base64," * 3_000_000]
    started = time.thread_time()
    for body in bodies:
        estimate_tokens(body, 0)
    assert time.thread_time() - started < 0.5


@given(st.lists(st.sampled_from([b";base64,", b'"', b"A" * 5000, b"x", b";base64"])))
def test_no_body_counts_for_more_than_its_length(pieces: list[bytes]) -> None:
    body = b"".join(pieces)
    assert 0 <= estimate_tokens(body, 0) <= len(body) // 4 + 1
