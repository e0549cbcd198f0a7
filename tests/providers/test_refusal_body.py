from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.routing.refusals import Refusal
from gateway.providers.refusal_body import read_refusal


def read(value: object) -> Refusal:
    return read_refusal(msgspec.json.encode(value))


def said(value: object) -> tuple[set[str], str]:
    found = read(value)
    return set(found.codes), found.message


def test_openai() -> None:
    error = {"message": "no", "type": "invalid_request_error", "param": None, "code": "Too_Long"}
    assert said({"error": error}) == ({"invalid_request_error", "too_long"}, "no")


def test_numbers_are_codes() -> None:
    assert said({"error": {"message": "no", "code": 3051}}) == ({"3051"}, "no")


def test_the_error_is_a_text() -> None:
    # xAI
    assert said({"code": "permission-denied", "error": "Content violates"}) == (
        {"permission-denied"},
        "Content violates",
    )
    assert said({"error": "x"}) == (set(), "x")


def test_no_error_around_it() -> None:
    # vLLM, Bedrock, FastAPI
    body = {"object": "error", "message": "too long", "type": "BadRequestError", "code": 400}
    assert said(body) == ({"badrequesterror", "400"}, "too long")
    assert said({"__type": "ValidationException", "message": "no"}) == (
        {"validationexception"},
        "no",
    )
    assert said({"detail": "Content Exists Risk"}) == (set(), "Content Exists Risk")


def test_azures_inner_error() -> None:
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {}}}
    codes, _ = said({"error": {"message": "m", "code": "400", "innererror": inner}})
    assert "responsibleaipolicyviolation" in codes
    codes, _ = said({"error": {"message": "m", "provider_specific_fields": {"innererror": inner}}})
    assert "responsibleaipolicyviolation" in codes


def test_a_list_with_an_error() -> None:
    codes, message = said([{"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT"}}])
    assert (codes, message) == ({"400", "invalid_argument"}, "m")


def test_an_answer_within_an_answer() -> None:
    # Gemini puts one into the message, OpenRouter into the metadata.
    inner = msgspec.json.encode({"error": {"message": "deep", "code": "context"}}).decode()
    assert said({"error": {"message": inner, "code": 400}}) == ({"400", "context"}, "deep")
    body = {"error": {"message": "Provider returned error", "metadata": {"raw": inner}}}
    assert said(body) == ({"context"}, "Provider returned error\ndeep")


def test_quotes_are_left_out() -> None:
    for quoted in ("'maximum'", '"maximum"', "“maximum”", "'say: \"maximum\"'"):
        assert "maximum" not in said({"error": {"message": f"Invalid value: {quoted}."}})[1]
    text = "This model's maximum is the model's own"
    assert said({"error": text})[1] == text


def test_only_the_beginning_is_read() -> None:
    assert len(said({"error": "x" * 10_000})[1]) == 1000


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"7", b"\xff\xfe", b"[" * 5000, b'"\\ud800"', b"[[[[[1]]]]]"]
)
def test_nothing_breaks_it(body: bytes) -> None:
    assert read_refusal(body).codes == frozenset()


@given(st.binary(max_size=300))
def test_no_bytes_break_it(body: bytes) -> None:
    read_refusal(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "message", "code", "details", "metadata", "raw", "retryDelay", "seconds"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_no_json_breaks_it(value: object) -> None:
    read(value)


# Waits...


@pytest.mark.parametrize(
    ("delay", "wait"),
    [
        ("37s", 37.0),
        ("34.4s", 34.4),
        ("45.837906927s", 45.837906927),
        ("0s", 0.0),
        ({"seconds": 37, "nanos": 500_000_000}, 37.5),
        ({"seconds": "37"}, 37.0),
        ({"seconds": "x"}, None),
        ({"seconds": None}, None),
        ("-1s", None),
        ("nan", None),
        ("infs", None),
        ("soon", None),
        ("1e999s", None),
        (7, None),
        (None, None),
    ],
)
@pytest.mark.parametrize("listed", [True, False])
def test_retry_info(delay: object, wait: float | None, listed: bool) -> None:
    details = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": "x"}]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
    ]
    body = {"error": {"code": 429, "message": "no", "details": details}}
    assert read([body] if listed else body).wait == wait


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("Rate limit reached. Please try again in 20s. Visit", 20.0),
        ("Please try again in 1.242s.", 1.242),
        ("Please try again in 7m12s.", 432.0),
        ("Please try again in 7m12.5s.", 432.5),
        ("Please try again in 1h2m3s", 3723.0),
        ("Please try again in 350ms", 0.35),
        ("Please try again in 2m", 120.0),
        ("Please retry after 86400 seconds.", 86400.0),
        ("Please retry in 58.934310785s.", 58.934310785),
        ("Please try again later.", None),
        ("Please try again in a while", None),
        ("no: 'Please try again in 20s'", None),
    ],
)
def test_a_wait_in_words(text: str, wait: float | None) -> None:
    assert read({"error": {"message": text}}).wait == pytest.approx(wait)
