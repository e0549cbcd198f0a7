from __future__ import annotations

import json
import os
import pty
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from gateway.captures.files import write_capture
from gateway.cli.commands.debug import app
from gateway.core.capture.capture import Capture, CapturedRequest, CapturePolicy, MemoryBudget
from gateway.core.capture.json_path import parse_path
from gateway.core.records.record import EndReason, Record
from gateway.store.engine import migrate
from gateway.store.engine.database import Database

from ...end_to_end.harness import ROOT
from ...fork_server import popen

pytestmark = pytest.mark.slow

KEY = "sk-canary-0123456789"
NASTY = '{"a":"\\u001b]0;title\\u0007","b":"\x1b[31m","c":"\u202e[red]Zoë"}'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(
        '[store]\nurl = ""\n[providers.p]\nkind = "demo"\n'
        '[[models]]\nname = "m"\nroutes = [{ provider = "p", model = "x" }]\n'
    )
    return path


def keep(
    config: Path,
    request_id: str = "req_1",
    *pieces: bytes,
    body: bytes = b'{"model":"m","messages":[]}',
    paths: tuple[str, ...] = (),
    stream: bool = True,
    max_bytes: int = 1 << 20,
    target: str = "/v1/chat/completions",
    headers: tuple[tuple[bytes, bytes], ...] = (),
    time: float = 1_700_000_000.25,
) -> None:
    request = CapturedRequest(
        request_id=request_id,
        time=time,
        token="team",
        model="m",
        method="POST",
        target=target,
        headers=((b"authorization", f"Bearer {KEY}".encode()), *headers),
        body=body,
        arrived=0.0,
        secrets=(KEY.encode(),),
    )
    policy = CapturePolicy(max_bytes=max_bytes, paths=tuple(map(parse_path, paths)))
    capture = Capture(request, policy, MemoryBudget(1 << 30))
    capture.head(200, ((b"content-type", b"text/event-stream"),), 0.5, stream=stream)
    for number, piece in enumerate(pieces or (b"data: {}\n\n",)):
        capture.add(piece, 1.0 + number)
    capture.record = Record(
        request_id=request_id, time=time, status=200, end_reason=EndReason.COMPLETE
    )
    write_capture(config.parent / "debug", capture)


@dataclass
class Said:
    status: int
    out: str
    err: str


def debug(capsys: pytest.CaptureFixture[str], config: Path, *arguments: str) -> Said:
    capsys.readouterr()
    status = app([*arguments, "-c", str(config)], result_action="return_value")
    return Said(status, *capsys.readouterr())


def on_a_terminal(config: Path, *arguments: str) -> str:
    """Run the command with a terminal for its stdout; return what it wrote there."""
    ours, theirs = pty.openpty()
    code = "import sys; from gateway.cli.commands.debug import app; sys.exit(app())"
    try:
        popen.run(
            [*popen.SCRIPT, code, *arguments, "-c", str(config)],
            stdout=theirs,
            stdin=subprocess.DEVNULL,
            timeout=30,
            check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "200"},
        )
        return os.read(ours, 1 << 16).decode()
    finally:
        os.close(ours)
        os.close(theirs)


# Showing...


def test_show_says_everything_that_was_kept(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(config, "req_1", b": ka\n\nda", b'ta: {"x": 1}\n\nevent: e\ndata: y\n\n')
    said = debug(capsys, config, "show", "req_1")
    assert (said.status, said.err) == (0, "")
    lines = said.out.split("\n")
    assert lines[:6] == [
        "request req_1",
        "2023-11-14T22:13:20.250Z  token team, model m",
        "POST /v1/chat/completions",
        "authorization: [redacted]",
        "{",
        '  "model": "m",',
    ]
    assert "answer 200 after 500.0 ms" in lines
    assert "content-type: text/event-stream" in lines
    assert [line.split() for line in lines if " ms  " in line] == [
        ["1000.0", "ms", ":", "ka"],
        ["2000.0", "ms", '{"x":', "1}"],
        ["2000.0", "ms", "event:", "e", "y"],
    ]
    assert '  "end_reason": "complete",' in lines
    assert KEY not in said.out


def test_show_as_json_and_as_it_is_kept(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(config, "same", body=b'{"n":1}')
    keep(config, "same", body=b'{"n":2}', time=1_700_000_060.0)
    said = debug(capsys, config, "show", "same", "--json")
    found = json.loads(said.out)
    assert [each["request"]["body"]["text"] for each in found] == ['{"n":2}', '{"n":1}']
    assert found[0]["end"]["record"]["request_id"] == "same"
    said = debug(capsys, config, "show", "same", "--raw")
    kinds = [json.loads(line)["kind"] for line in said.out.splitlines()]
    assert kinds == ["request", "answer", "event", "end"] * 2


def test_show_says_what_is_missing(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(config, "cut", b"x" * 1000, max_bytes=200, stream=False)
    said = debug(capsys, config, "show", "cut")
    assert " more bytes were sent)" in said.out
    keep(config, "long", body=b'{"a":"' + b"x" * 2000 + b'"}', max_bytes=1500, paths=("a",))
    said = debug(capsys, config, "show", "long")
    assert "(not kept: it was cut off" in said.out
    assert "(cut off: it had 2008 bytes)" in said.out
    keep(config, "odd", body=b"\xff\xfe")
    assert "(base64) //4=" in debug(capsys, config, "show", "odd").out


@pytest.mark.parametrize(
    "request_id", ["none", "../../etc/passwd", "/etc/passwd", "%2e%2e", "a\x1b[31mb"]
)
def test_show_what_is_not_there(
    config: Path, capsys: pytest.CaptureFixture[str], request_id: str
) -> None:
    for command in ("show", "replay"):
        said = debug(capsys, config, command, request_id)
        assert (said.status, said.out) == (1, "")
        assert said.err.startswith("error: the debug log has nothing of ")
        assert "\x1b" not in said.err


def test_what_a_terminal_would_obey_does_not_reach_it(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(
        config,
        "nasty",
        b"data: " + NASTY.encode() + b"\n\n: \x1b[2J\n\n",
        body=NASTY.encode(),
        target="/v1\x1b[1m",
        headers=((b"x-a", b"\x1b[31m"),),
    )
    for arguments in (["show", "nasty"], ["show", "nasty", "--json"], ["show", "nasty", "--raw"]):
        out = debug(capsys, config, *arguments).out
        assert not {*"\x1b\x07\u202e"} & {*out}
        assert "Zoë" in out
        shown = on_a_terminal(config, *arguments)
        # Rich's own are bold, dim, colours and the end of them.
        assert "]0;title\x07" not in shown
        assert "\x1b[2J" not in shown
        assert "\u202e" not in shown
        assert "[red]Zoë" in shown


def test_a_broken_configuration(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text("x")
    for arguments in (["show", "x"], ["list"], ["replay", "x"]):
        said = debug(capsys, config, *arguments)
        assert (said.status, said.out) == (1, "")
        assert said.err.startswith(f"error: {config}: not valid TOML")


def test_no_variable_of_a_provider_is_needed(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = config.read_text()
    config.write_text(text.replace('"demo"', '"openai"\napi_key = "${KEY_THAT_IS_NOT_SET}"'))
    keep(config)
    for arguments in (["show", "req_1"], ["list"]):
        said = debug(capsys, config, *arguments)
        assert (said.status, said.err) == (0, "")
    said = debug(capsys, config, "replay", "req_1", "--url", "ftp://x")
    assert "KEY_THAT_IS_NOT_SET" not in said.err


def test_of_many_with_one_id_the_latest_are_shown(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(12):
        keep(config, "same", time=1_700_000_000.0 + number * 86_400)
    said = debug(capsys, config, "show", "same", "--json")
    times = [each["request"]["time"] for each in json.loads(said.out)]
    assert times == [1_700_000_000.0 + number * 86_400 for number in range(11, 1, -1)]
    assert said.status == 0
    assert said.err == "there is more of this id, older or too large to be shown\n"


def test_a_folder_that_cannot_be_read(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.with_name("debug").write_text("a file")
    for arguments in (["show", "x"], ["list"], ["replay", "x"]):
        said = debug(capsys, config, *arguments)
        assert said.status == 1
        assert said.err == f"error: {config.with_name('debug')}: cannot be read: Not a directory\n"


# Listing...


def test_list_has_the_latest_first(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = debug(capsys, config, "list")
    folder = config.parent / "debug"
    assert (said.status, said.out) == (0, "")
    assert said.err == f"the debug log has nothing in {folder}\n"
    for number in range(5):
        keep(config, f"req_{number}", time=1_700_000_000.0 + number * 86_400)
    keep(config, "re\x1b[31mq", time=1_699_000_000.0)
    said = debug(capsys, config, "list")
    rows = [line.split() for line in said.out.splitlines()]
    assert rows[0] == ["time", "id", "token", "model", "status", "end", "bytes"]
    assert [row[1] for row in rows[1:]] == [
        *(f"req_{number}" for number in (4, 3, 2, 1, 0)),
        "re\\x1b[31mq",
    ]
    assert rows[1][:6] == ["2023-11-18T22:13:20.000Z", "req_4", "team", "m", "200", "complete"]
    assert debug(capsys, config, "list", "--limit", "2").out.count("\n") == 3
    assert debug(capsys, config, "list", "--limit", "0").status == 2
    shown = on_a_terminal(config, "list")
    assert "req_4" in shown
    assert "\x1b[31mq" not in shown


# Sending again...


@dataclass
class Provider:
    """A server that answers with `answer`; `seen` are the requests that came."""

    seen: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    status: int = 200
    answer: bytes = b"data: {}\n\n"
    broken: bool = False
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            made.seen.append((self.path, headers, body))
            self.send_response(made.status)
            self.send_header("transfer-encoding", "chunked")
            self.send_header("x-request-id", "req_new")
            self.end_headers()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(made.answer), made.answer))
            self.wfile.write(b"" if made.broken else b"0\r\n\r\n")
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield made
        server.shutdown()
        thread.join()


def test_replay_sends_the_same_again(
    config: Path, capsys: pytest.CaptureFixture[str], provider: Provider
) -> None:
    body = '{"model":"m",  "x":"Zoë"}'.encode()
    headers = (
        *((b"content-type", b"application/json"), (b"x-session-id", b"s1")),
        *((b"host", b"old.example"), (b"content-length", b"7"), (b"x-request-id", b"req_1")),
        *((b"accept-encoding", b"gzip"), (b"x-forwarded-for", b"192.0.2.1"), (b"x-api-key", b"k")),
        *((b"traceparent", b"00-1-1-01"), (b"connection", b"close"), (b"cookie", b"c")),
        (b"referer", b"http://x/" + KEY.encode()),
    )
    keep(config, "req_1", body=body, headers=headers, target="/v1/chat/completions?a=1")
    said = debug(capsys, config, "replay", "req_1", "--url", provider.url, "--key", "sk-mine")
    assert (said.status, said.out) == (0, "data: {}\n\n")
    assert said.err == f"HTTP 200 from {provider.url}, request req_new\n"
    ((path, sent, seen),) = provider.seen
    assert (path, seen) == ("/v1/chat/completions?a=1", body)
    assert sent.pop("host") == f"127.0.0.1:{provider.port}"
    assert sent == {
        "content-type": "application/json",
        "x-session-id": "s1",
        "content-length": str(len(body)),
        "authorization": "Bearer sk-mine",
    }


def test_replay_finds_url_and_key_by_itself(
    config: Path,
    capsys: pytest.CaptureFixture[str],
    provider: Provider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GATEWAY_API_KEY", "sk-env")
    text = config.read_text()
    keep(config)
    for host in ("127.0.0.1", "0.0.0.0"):
        config.write_text(f'[server]\nbind = "{host}:{provider.port}"\n{text}')
        assert debug(capsys, config, "replay", "req_1").status == 0
    assert [sent["authorization"] for _, sent, _ in provider.seen] == ["Bearer sk-env"] * 2
    monkeypatch.delenv("GATEWAY_API_KEY")
    # As people have their base URLs.
    assert debug(capsys, config, "replay", "req_1", "--url", f"{provider.url}/v1/").status == 0
    assert debug(capsys, config, "replay", "req_1", "--url", f"{provider.url}/base").status == 0
    assert [path for path, _, _ in provider.seen[2:]] == [
        "/v1/chat/completions",
        "/base/v1/chat/completions",
    ]
    assert "authorization" not in provider.seen[2][1]
    config.write_text(f'[server]\nbind = "127.0.0.1:0"\n{text}')
    said = debug(capsys, config, "replay", "req_1")
    assert (said.status, said.out) == (1, "")
    assert "say where the gateway is with --url" in said.err
    config.write_text(f'[server]\nbind = "unix:{config.parent}/none"\n{text}')
    said = debug(capsys, config, "replay", "req_1")
    assert (said.status, said.out) == (1, "")
    assert "No such file" in said.err


def test_replay_refuses_what_is_not_the_same(
    config: Path, capsys: pytest.CaptureFixture[str], provider: Provider
) -> None:
    keep(config, "cut", body=b"x" * 2000, max_bytes=1000)
    keep(config, "withheld", body=b"no json", paths=("user",))
    keep(config, "redacted", body=b'{"user":"u"}', paths=("user",))
    keep(config, "key", body=b'{"user":"' + KEY.encode() + b'"}')
    keep(config, "same", body=b'{"user":"u"}', paths=("nothing",))

    def sent(request_id: str, *more: str) -> Said:
        return debug(capsys, config, "replay", request_id, "--url", provider.url, *more)

    for request_id in ("cut", "withheld"):
        for more in ((), ("--anyway",)):
            said = sent(request_id, *more)
            assert (said.status, said.out) == (1, "")
            assert "its body was not kept whole" in said.err
    for request_id in ("redacted", "key"):
        said = sent(request_id)
        assert (said.status, said.out) == (1, "")
        assert "use --anyway to send it as it was kept" in said.err
    assert provider.seen == []
    assert sent("redacted", "--anyway").status == 0
    assert sent("same").status == 0
    assert [body for _, _, body in provider.seen] == [b'{"user":"[redacted]"}', b'{"user":"u"}']
    for url in ("ftp://x", "x", "http://", "http://x:y", "http://[", "http://x/?a=1"):
        said = debug(capsys, config, "replay", "same", "--url", url)
        assert (said.status, said.out) == (1, "")
        assert "--url" in said.err
    assert len(provider.seen) == 2


def test_replay_says_how_it_went(
    config: Path, capsys: pytest.CaptureFixture[str], provider: Provider
) -> None:
    keep(config)

    def sent(url: str = "") -> Said:
        return debug(capsys, config, "replay", "req_1", "--url", url or provider.url)

    provider.status, provider.answer = 429, b'{"error":{}}'
    said = sent()
    assert (said.status, said.out) == (1, '{"error":{}}')
    assert said.err.startswith("HTTP 429 ")
    provider.status, provider.broken = 200, True
    said = sent()
    assert (said.status, said.out) == (1, '{"error":{}}')
    assert said.err.endswith("error: the answer broke off\n")
    said = sent("http://127.0.0.1:1")
    assert (said.status, said.out) == (1, "")
    assert "Connection refused" in said.err


def test_replay_on_a_terminal(config: Path, provider: Provider) -> None:
    keep(config)
    provider.answer = "data: \x1b]0;title\x07 Zoë\n\n".encode()
    shown = on_a_terminal(config, "replay", "req_1", "--url", provider.url)
    assert shown.replace("\r", "") == "data: \\x1b]0;title\\x07 Zoë\n\n\n"


# Both are on record...


def test_viewing_and_replaying_are_audit_events(
    config: Path, capsys: pytest.CaptureFixture[str], provider: Provider
) -> None:
    config.write_text(config.read_text().replace('url = ""', 'url = "sqlite:///gateway.db"'))
    keep(config)
    said = debug(capsys, config, "show", "req_1")
    assert said.status == 0
    assert "request req_1" in said.out
    # Without a database it waits for the gateway.
    assert said.err == ""
    assert len(list(config.with_name("gateway.journal").iterdir())) == 1
    database = Database("sqlite:///gateway.db", config.parent)
    migrate.upgrade(database)
    assert debug(capsys, config, "show", "req_1").err == ""
    debug(capsys, config, "show", "none")
    debug(capsys, config, "replay", "req_1", "--url", provider.url, "--key", "sk-not-on-record")
    debug(capsys, config, "replay", "req_1", "--url", "ftp://x")
    query = text("SELECT action, result, target FROM audit ORDER BY id")
    rows = database.read_now(lambda connection: [tuple(row) for row in connection.execute(query)])
    assert rows == [
        ("capture_viewed", "ok", "req_1"),
        ("capture_viewed", "failed", "none"),
        ("capture_replayed", "ok", "req_1"),
        ("capture_replayed", "refused", "req_1"),
    ]
    everything = database.read_now(
        lambda connection: str(
            [tuple(row) for row in connection.execute(text("SELECT * FROM audit"))]
        )
    )
    assert "sk-not-on-record" not in everything
    database.close()
