"""Captures by way of the admin API."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest

from gateway.captures.search import MOST
from gateway.core.capture.transcript import Content, RequestLine
from gateway.core.records.audit import AuditAction

from .world import World


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A debug log with one capture, and a file beside it that is none of its business."""
    found = tmp_path / "debug"
    day = found / "2026-11-23"
    day.mkdir(parents=True)
    line = RequestLine(
        version=1,
        id="req_1",
        time=1.0,
        method="POST",
        target="/v1/chat/completions",
        headers=[("x-a", "b")],
        body=Content("hello"),
        size=5,
    )
    (day / "req_1.jsonl.gz").write_bytes(gzip.compress(msgspec.json.encode(line) + b"\n"))
    (tmp_path / "secret.jsonl.gz").write_bytes(gzip.compress(b"{}\n"))
    return found


async def test_a_capture(folder: Path) -> None:
    world = World(captures=folder)
    server = await world.call("debug/req_1")
    assert server.status == 200
    (found,) = server.json["rows"]
    assert server.json["more"] is False
    assert found["request"]["body"]["text"] == "hello"
    await world.call("debug/req_1")
    (event,) = world.seen(AuditAction.CAPTURE_VIEWED)
    assert (event.target, event.actor) == ("req_1", "root")


@pytest.mark.parametrize(
    "request_id", ["req_2", "../secret", "..", "../../etc/passwd", "/etc/passwd", "%00", "a\nb"]
)
async def test_there_is_no_other(folder: Path, request_id: str) -> None:
    world = World(captures=folder)
    server = await world.call(f"debug/{quote(request_id)}")
    assert server.status == 404
    assert world.seen(AuditAction.CAPTURE_VIEWED) == []


async def test_of_many_with_one_id_a_few_are_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "2026-11-23" / "req_1.jsonl.gz"
    for number in range(20):
        shutil.copy(path, path.with_name(f"req_1~{number:08x}.jsonl.gz"))
    server = await World(captures=folder).call("debug/req_1")
    assert (len(server.json["rows"]), server.json["more"]) == (MOST, True)
    size = len(gzip.decompress(path.read_bytes()))
    monkeypatch.setattr("gateway.admin.captures.MAX_BYTES", 3 * size)
    server = await World(captures=folder).call("debug/req_1")
    assert (len(server.json["rows"]), server.json["more"]) == (3, True)
    # There is something, but it is too large to be shown here: that is no 404.
    monkeypatch.setattr("gateway.admin.captures.MAX_BYTES", size - 1)
    server = await World(captures=folder).call("debug/req_1")
    assert (server.status, server.json) == (200, {"rows": [], "more": True})


async def test_a_debug_log_that_is_off_or_cannot_be_read(tmp_path: Path) -> None:
    assert (await World().call("debug/req_1")).status == 404
    assert (await World(captures=tmp_path / "none").call("debug/req_1")).status == 404
    (tmp_path / "file").write_text("")
    server = await World(captures=tmp_path / "file").call("debug/req_1")
    assert server.status == 503
    assert server.json["error"]["message"].startswith("the debug log cannot be read")
    assert str(tmp_path) not in server.json["error"]["message"]
