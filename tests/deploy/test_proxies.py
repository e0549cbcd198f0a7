"""The samples for nginx and Caddy, with the real servers where they are installed."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.fork_server.popen import Popen
from tests.ports import lasting_port

pytestmark = pytest.mark.slow

ROOT: Final = Path(__file__).parents[2]
PROXIES: Final = ROOT / "deploy" / "proxies"
# Another address of this machine than the proxy's own.
CLIENT: Final = "127.0.0.2"
CONFIG: Final = """
[server]
bind = "127.0.0.1:0"
open = true
trusted_proxies = ["127.0.0.1"]
drain_delay = 0
[store]
url = ""
[providers.demo]
kind = "demo"
token_interval = 0.2
[[models]]
name = "demo"
routes = [{ provider = "demo", model = "d" }]
"""
ASK: Final = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: gateway.example.com\r\n"
    b"content-type: application/json\r\nx-forwarded-for: 203.0.113.9\r\n"
    b"forwarded: for=203.0.113.9\r\ncontent-length: %d\r\n\r\n%s"
)
BODY: Final = (
    b'{"model": "demo", "stream": true, "max_tokens": 12,'
    b' "messages": [{"role": "user", "content": "Hello!"}]}'
)


def nginx(folder: Path, port: int, to: int) -> list[str]:
    sample = (PROXIES / "nginx.conf").read_text()
    sample = sample.replace("127.0.0.1:8080", f"127.0.0.1:{to}")
    paths = "".join(
        f"{each}_temp_path {folder}/{each};\n"
        for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = f"user root;\npid {folder}/nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n"
    config = folder / "nginx.conf"
    config.write_text(
        f"{main}access_log off;\n{paths}{sample.replace('127.0.0.1:8081', f'127.0.0.1:{port}')}}}\n"
    )
    return ["nginx", "-p", str(folder), "-c", str(config), "-g", "daemon off;"]


def caddy(folder: Path, port: int, to: int) -> list[str]:
    sample = (PROXIES / "Caddyfile").read_text()
    sample = sample.replace("127.0.0.1:8080", f"127.0.0.1:{to}")
    config = folder / "Caddyfile"
    config.write_text(sample.replace("http://:8082", f"http://:{port}"))
    return ["caddy", "run", "--config", str(config), "--adapter", "caddyfile"]


Proxy = Callable[[Path, int, int], list[str]]
BOTH: Final = pytest.mark.parametrize(
    "proxy",
    [
        pytest.param(
            each,
            id=each.__name__,
            marks=pytest.mark.skipif(
                shutil.which(each.__name__) is None, reason=f"{each.__name__} is not installed"
            ),
        )
        for each in (nginx, caddy)
    ],
)


@contextlib.contextmanager
def running(command: list[str], folder: Path, log: str) -> Iterator[None]:
    environ = {"HOME": str(folder), "PATH": "/usr/sbin:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    with (
        open(folder / log, "wb") as out,
        open(folder / f"{log}.err", "wb") as err,
        Popen(command, env=environ, stdout=out, stderr=err) as process,
    ):
        try:
            yield
        finally:
            process.terminate()


@contextlib.contextmanager
def fronted(folder: Path, proxy: Proxy) -> Iterator[int]:
    """A gateway with a proxy in front of it; yields the proxy's port."""
    own, port = lasting_port(), lasting_port()
    file = folder / "config.toml"
    file.write_text(CONFIG.replace("127.0.0.1:0", f"127.0.0.1:{own}"))
    gateway = [sys.executable, "-m", "gateway", "serve", str(file)]
    with running(gateway, folder, "records"), running(proxy(folder, port, own), folder, "proxy"):
        for each in (own, port):
            eventually(lambda each=each: is_open(each))  # type: ignore[misc]
        yield port


def eventually(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True


def ask(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), 30, (CLIENT, 0))
    sock.sendall(ASK % (len(BODY), BODY))
    return sock


def records(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "records").read_bytes().splitlines()]


@BOTH
def test_events_come_one_by_one_and_the_clients_address_is_on_record(
    tmp_path: Path, proxy: Proxy
) -> None:
    with fronted(tmp_path, proxy) as port:
        answer, times = b"", []
        with ask(port) as sock:
            while b"data: [DONE]" not in answer:
                data = sock.recv(65536)
                assert data, answer
                answer += data
                times.append(time.monotonic())
        assert answer.startswith(b"HTTP/1.1 200 ")
        # Twelve tokens, a fifth of a second apart: buffered, they would come at once.
        assert len(times) > 5
        assert times[-1] - times[0] > 1.0
        eventually(lambda: records(tmp_path))
        (record,) = records(tmp_path)
        assert (record["client"], record["end_reason"]) == (CLIENT, "complete")


@BOTH
def test_a_client_that_leaves_is_seen(tmp_path: Path, proxy: Proxy) -> None:
    with fronted(tmp_path, proxy) as port:
        with ask(port) as sock:
            data = b""
            while b"data: " not in data:
                data = sock.recv(65536)
                assert data
        eventually(lambda: records(tmp_path))
        (record,) = records(tmp_path)
        assert record["end_reason"] == "client_gone"


def test_the_samples_agree_with_the_gateways_own_times() -> None:
    for name in ("nginx.conf", "Caddyfile"):
        text = (PROXIES / name).read_text()
        # Less than keep_alive_timeout, and more than total.
        assert "60s" in text
        assert "660s" in text
