"""A captured request as a command: what is in it is quoted, and no key is."""

from __future__ import annotations

import shlex

import msgspec

from gateway.core.capture.transcript import Content, RequestLine
from gateway.dashboard.asking.curl import as_curl

LINE = RequestLine(
    version=1, id="r", time=0.0, method="POST", target="/v1/chat/completions",
    headers=[("authorization", "[redacted]"), ("content-type", "application/json"),
             ("x-odd", "it's $(id) `id`"), ("content-length", "9")],
    body=Content(text='{"a": "it\'s $HOME \\n"}'), size=9,
)  # fmt: skip


def test_the_command_sends_the_same_and_runs_nothing() -> None:
    command = as_curl(LINE, "http://gw")
    assert command is not None
    words = shlex.split(command.replace("\\\n", " "))
    assert words == [
        "curl", "-N", "http://gw/v1/chat/completions", "-H", "authorization: Bearer $GATEWAY_KEY",
        "-H", "content-type: application/json", "-H", "x-odd: it's $(id) `id`",
        "--data-raw", LINE.body.text,
    ]  # fmt: skip


def test_no_secret_and_nothing_of_the_first_connection_is_in_it() -> None:
    headers = [
        ("X-Api-Key", "sk-1"), ("x-goog-api-key", "[redacted]"), ("cookie", "a=b"),
        ("x-forwarded-for", "10.0.0.1"), ("host", "gw"), ("x-gateway-replay-of", "r0"),
        ("x-note", "the key [redacted] of ann"), ("x-empty", ""), ("anthropic-version", "2023"),
    ]  # fmt: skip
    for target in ("/v1/chat/completions", "/v1/messages", "/v1/responses"):
        line = msgspec.structs.replace(LINE, headers=headers, target=target)
        command = as_curl(line, "https://gw")
        assert command is not None
        words = shlex.split(command.replace("\\\n", " "))
        assert words[2] == f"https://gw{target}"
        assert words[4::2][:3] == [
            "authorization: Bearer $GATEWAY_KEY", "x-empty;", "anthropic-version: 2023"
        ]  # fmt: skip
        # Curl would call the body a form.
        assert words[-3] == "content-type: application/json"


def test_what_was_cut_or_withheld_cannot_be_sent_again() -> None:
    assert as_curl(msgspec.structs.replace(LINE, truncated=True), "") is None
    withheld = msgspec.structs.replace(LINE, body=Content(withheld="no JSON"))
    assert as_curl(withheld, "") is None


def test_the_method_is_said_where_curl_would_take_another() -> None:
    line = msgspec.structs.replace(LINE, target="/v1/files", headers=[], body=Content(), size=0)
    for method, begins in (
        ("GET", ["curl", "-N", "http://gw/v1/files"]),
        ("DELETE", ["curl", "-N", "-X", "DELETE", "http://gw/v1/files"]),
        ("POST", ["curl", "-N", "-X", "POST", "http://gw/v1/files"]),
    ):
        command = as_curl(msgspec.structs.replace(line, method=method), "http://gw")
        assert command is not None
        words = shlex.split(command.replace("\\\n", " "))
        assert words == [*begins, "-H", "authorization: Bearer $GATEWAY_KEY"]
    put = as_curl(msgspec.structs.replace(LINE, method="PUT"), "http://gw")
    assert put is not None
    assert put.startswith("curl -N -X PUT http://gw/v1/chat/completions ")
    # A session over a WebSocket is no single request.
    assert as_curl(msgspec.structs.replace(LINE, method="GET"), "http://gw") is None
