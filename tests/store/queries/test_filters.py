from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.store.queries.filters import LATEST, AuditFilter, Filter, moment, parse, parse_audit

NOW = 1_800_000_000.25
NOW_US = 1_800_000_000_250_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("24h", NOW_US - 86_400_000_000),
        ("7d", NOW_US - 7 * 86_400_000_000),
        ("90s", NOW_US - 90_000_000),
        ("1.5m", NOW_US - 90_000_000),
        ("2w", NOW_US - 14 * 86_400_000_000),
        ("0s", NOW_US),
        ("24", 24_000_000),
        ("1790000000", 1_790_000_000_000_000),
        ("1790000000.000001", 1_790_000_000_000_001),
        ("2026-09-21T14:13:20Z", 1_790_000_000_000_000),
        ("2026-09-21T16:13:20.000001+02:00", 1_790_000_000_000_001),
        ("1970-01-01T00:00:00+00:00", 0),
    ],
)
def test_a_time_is_written_in_three_ways(text: str, expected: int) -> None:
    assert moment("since", text, NOW) == expected


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "24 h",
        "-1h",
        "h",
        "2026-09-21",
        "2026-09-21T14:13:20",  # whose time?
        "2026-09-21T14:13:20 02:00",
        "1969-12-31T23:59:59Z",
        "9999-01-01T00:00:00Z",
        "99999999999",
        "999999999w",
        "٢٤h",
        "1e9",
        "nan",
    ],
)
def test_what_is_no_time_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidRequest, match="until must be a time such as 2026-") as caught:
        moment("until", text, NOW)
    assert caught.value.param == "until"


@given(st.text(max_size=40))
def test_any_text_is_a_time_in_range_or_refused(text: str) -> None:
    try:
        found = moment("since", text, NOW)
    except InvalidRequest:
        return
    assert 0 <= found <= LATEST


def test_all_parameters_are_read() -> None:
    params = {
        "since": ["24h"],
        "until": ["1h"],
        "model": ["a,b", "c"],
        "provider": ["p"],
        "token": ["t"],
        "operation": ["chat,embeddings"],
        "status": ["error,429", "5xx", "429"],
        "end_reason": ["complete"],
        "user": ["one, and the same"],
        "session": ["s"],
        "client_ip": ["127.0.0.1"],
        "request_id": ["r1,", "r2"],
        "failed": ["false"],
        "stream": ["true"],
        "cached": ["0"],
        "text": ["100%_\\"],
        "limit": ["5"],
    }
    assert parse(params, NOW, also=("limit", "sort")) == Filter(
        since=NOW_US - 86_400_000_000,
        until=NOW_US - 3_600_000_000,
        written=("24h", "1h"),
        model=("a", "b", "c"),
        provider=("p",),
        token=("t",),
        operation=("chat", "embeddings"),
        status=("error", "429", "5xx"),
        end_reason=("complete",),
        user=("one, and the same",),
        session=("s",),
        client_ip=("127.0.0.1",),
        request_id=("r1,", "r2"),
        failed=False,
        stream=True,
        cached=False,
        text="100%_\\",
    )


def test_what_is_empty_is_not_given() -> None:
    empty = {"model": ["", ","], "since": [""], "text": [""], "stream": [""], "status": []}
    assert parse(empty, NOW) == Filter()


def test_the_audit_log_has_parameters_of_its_own() -> None:
    params = {"action": ["sign_in,exported"], "actor": ["ada"], "result": ["refused"]}
    assert parse_audit(params, NOW) == AuditFilter(
        action=("sign_in", "exported"), actor=("ada",), result=("refused",)
    )
    with pytest.raises(InvalidRequest, match="action must be one of sign_in, sign_out") as caught:
        parse_audit({"action": ["sign_up"]}, NOW)
    assert caught.value.param == "action"


@pytest.mark.parametrize(
    ("params", "name", "message"),
    [
        ({"modle": ["a"]}, "modle", "There is no parameter 'modle'; there are since, until, mod"),
        ({"written": ["a"]}, "written", "There is no parameter 'written'"),
        ({"status": ["600"]}, "status", "three digits such as 429, a class such as 4xx, or error"),
        ({"status": ["20"]}, "status", "it is '20'"),
        ({"status": ["2XX"]}, "status", "it is '2XX'"),
        ({"end_reason": ["done"]}, "end_reason", "must be one of complete, cached, client_gone"),
        ({"stream": ["yes"]}, "stream", "stream must be true or false; it is 'yes'"),
        ({"cached": ["true", "false"]}, "cached", "cached can be given once only"),
        ({"text": ["a", "b"]}, "text", "text can be given once only"),
        ({"since": ["1h", "2h"]}, "since", "since can be given once only"),
        ({"since": ["1h"], "until": ["2h"]}, "since", "since must be earlier than until"),
        ({"since": ["1h"], "until": ["1h"]}, "since", "since must be earlier than until"),
        ({"text": ["a\0"]}, "text", "text must be text of at most 500 characters"),
        ({"user": ["\ud800"]}, "user", "user must be text"),
        ({"user": ["x" * 501]}, "user", "user must be text of at most 500"),
        ({"token": [",".join(map(str, range(101)))]}, "token", "token can have 100 values at m"),
    ],
)
def test_faults_are_named(params: dict[str, list[str]], name: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(params, NOW)
    assert caught.value.param == name
    assert message in caught.value.message
