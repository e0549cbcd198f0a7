from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import structlog
import trio
import trio.lowlevel

from gateway.core.log_context import request_id
from gateway.telemetry import logs


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, known = list(root.handlers), root.level, structlog.get_config()
    # Tests of the server before these leave a handler there.
    hypercorns = logging.getLogger("hypercorn.error")
    theirs, hypercorns.handlers = hypercorns.handlers, []
    yield
    hypercorns.handlers = theirs
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**known)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    out, err = capsys.readouterr()
    assert out == ""
    return [msgspec.json.decode(line) for line in err.splitlines()]


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up_logging("info", "json")
    structlog.get_logger("test.one").info("it\nhappened", number=1, odd={1, 2} - {2}, raw=object)
    (line,) = lines(capsys)
    stamp = line.pop("timestamp")
    assert stamp.endswith("Z")
    assert line == {
        "event": "it\nhappened",
        "level": "info",
        "logger": "test.one",
        "number": 1,
        "odd": [1],
        "raw": "<class 'object'>",
    }


def test_exceptions_are_part_of_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up_logging("info", "json")
    try:
        raise LookupError("what is wrong")
    except LookupError:
        structlog.get_logger("test.two").exception("failed", request_id="req_1")
        logging.getLogger("test.three").exception("failed too")
    ours, theirs = lines(capsys)
    for line in (ours, theirs):
        assert line["level"] == "error"
        assert "LookupError: what is wrong" in line["exception"]
    assert ours["request_id"] == "req_1"


def test_python_s_own_logging_ends_in_the_same_place(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up_logging("info", "json")
    logging.getLogger("hypercorn.error").warning("running on %s", "a socket")
    (line,) = lines(capsys)
    assert (line["event"], line["level"], line["logger"]) == (
        "running on a socket",
        "warning",
        "hypercorn.error",
    )


def test_what_hypercorn_has_written_itself_is_not_repeated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.set_up_logging("info", "json")
    hypercorns = logging.getLogger("hypercorn.error")
    own = logging.StreamHandler(sys.stderr)
    hypercorns.addHandler(own)
    try:
        hypercorns.warning("running on %s", "a socket")
    finally:
        hypercorns.removeHandler(own)
    assert capsys.readouterr().err == "running on a socket\n"


def test_what_is_below_the_level_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up_logging("warning", "json")
    structlog.get_logger("test.four").info("no")
    logging.getLogger("test.five").info("no")
    structlog.get_logger("test.four").warning("yes")
    assert [line["event"] for line in lines(capsys)] == ["yes"]


def test_a_second_call_replaces_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up_logging("debug", "console")
    logs.set_up_logging("debug", "json")
    structlog.get_logger("test.six").debug("once")
    assert [line["event"] for line in lines(capsys)] == ["once"]


def test_a_console_shows_people_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up_logging("info", "console")
    try:
        raise LookupError("what is wrong")
    except LookupError:
        structlog.get_logger("test.seven").exception("failed", request_id="req_1")
    logging.getLogger("test.eight").info("hello")
    err = capsys.readouterr().err
    for part in ("failed", "req_1", "LookupError", "what is wrong", "hello"):
        assert part in err


@pytest.mark.parametrize("terminal", [True, False])
def test_auto_asks_whether_anyone_looks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, terminal: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    logs.set_up_logging("info", "auto")
    structlog.get_logger("test.nine").info("hello")
    assert capsys.readouterr().err.startswith("{") is not terminal


def test_a_person_is_not_shown_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up_logging("info", "console")
    # Made of two, since the source line is shown.
    api_key = "sk-" + "secret"
    try:
        raise LookupError("what is wrong")
    except LookupError:
        structlog.get_logger("test.one").exception("failed")
    err = capsys.readouterr().err
    assert "what is wrong" in err
    assert api_key not in err


async def test_every_line_says_in_which_request_it_was_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.set_up_logging("info", "json")

    async def request(identity: str) -> None:
        request_id.set(identity)
        await trio.lowlevel.checkpoint()
        structlog.get_logger("test.ten").info("ours")
        logging.getLogger("test.eleven").info("a library's")

    async with trio.open_nursery() as nursery:
        for identity in ("req_1", "req_2"):
            nursery.start_soon(request, identity)
    structlog.get_logger("test.ten").info("nobody's")
    structlog.get_logger("test.ten").info("given", request_id="req_3")
    found = [(line["event"], line.get("request_id")) for line in lines(capsys)]
    assert sorted(found[:4]) == sorted(
        (what, who) for what in ("ours", "a library's") for who in ("req_1", "req_2")
    )
    assert found[4:] == [("nobody's", None), ("given", "req_3")]


def test_not_each_health_check_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up_logging("info", "json")
    logging.getLogger("httpx").info("HTTP Request: GET http://h/v1/models")
    assert lines(capsys) == []
