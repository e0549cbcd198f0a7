"""What is in front of the API: TLS that the gateway serves itself, and proxies that it trusts."""

from __future__ import annotations

import json
import os
import signal
import ssl
from functools import partial
from pathlib import Path

import pytest
import trio
import trustme

from gateway.config.sources.shipped import SHIPPED

from ..fork_server import popen
from .harness import GATEWAY, HYPERCORN, PATIENCE, ROOT, Served, spawned
from .provider import until

pytestmark = pytest.mark.slow

ASK = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
    b"content-type: application/json\r\ncontent-length: 62\r\n%s\r\n"
    b'{"model": "demo", "messages": [{"role":"user","content":"x"}]}'
)
TLS = '\n[server.tls]\ncert = "tls.crt"\nkey = "tls.key"\n'


def configured(folder: Path, more: str, server: str = "") -> Path:
    file = folder / "config.toml"
    text = SHIPPED.read_text().replace('"127.0.0.1:8080"', f'"127.0.0.1:0"\n{server}')
    file.write_text(text + more)
    return file


def issue(authority: trustme.CA, folder: Path, *names: str) -> None:
    made = authority.issue_cert("localhost", *names)
    made.private_key_pem.write_to_path(folder / "tls.key")
    (folder / "tls.crt").write_bytes(b"".join(each.bytes() for each in made.cert_chain_pems))


async def asked(
    served: Served, context: ssl.SSLContext | None, head: bytes = b"", first: bytes = b""
) -> tuple[bytes, dict[str, object]]:
    """Return an answer, and the certificate that it came with."""
    stream: trio.abc.Stream = await trio.open_tcp_stream("127.0.0.1", served.port)
    shown: dict[str, object] = {}
    async with stream:
        if first:
            await stream.send_all(first)
        if context is not None:
            stream = trio.SSLStream(
                stream, context, server_hostname="localhost", https_compatible=True
            )
            await stream.do_handshake()
            shown = dict(stream.getpeercert())
            assert stream.selected_alpn_protocol() == "http/1.1"
        await stream.send_all(ASK % head)
        answer = b""
        async for data in stream:
            answer += data
        return answer, shown


def client(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["one", "two"])
async def test_https_with_certificates_that_are_renewed(
    tmp_path: Path, workers: tuple[str, ...]
) -> None:
    authority = trustme.CA()
    issue(authority, tmp_path)
    file = configured(tmp_path, TLS)
    async with spawned([*GATEWAY, *workers], file) as served:
        assert b"https://127.0.0.1" in served.said
        answer, before = await asked(served, client(authority))
        assert answer.startswith(b"HTTP/1.1 200 ")
        issue(authority, tmp_path, "renewed.example.com")
        served.process.send_signal(signal.SIGHUP)
        reloads = max(1, len(workers))
        await until(lambda: served.said.count(b"configuration reloaded") >= reloads, "a reload")
        answer, after = await asked(served, client(authority))
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert ("DNS", "renewed.example.com") in after["subjectAltName"]  # type: ignore[operator]
        assert before != after
        # One that is broken is said, and not taken.
        (tmp_path / "tls.key").write_text("half")
        served.process.send_signal(signal.SIGHUP)
        await until(lambda: b"[server.tls] cert, key" in served.said, "a refusal")
        assert (await asked(served, client(authority)))[1] == after


async def test_hypercorns_own_command_line_offers_what_is_served(tmp_path: Path) -> None:
    authority = trustme.CA()
    issue(authority, tmp_path)
    file = configured(tmp_path, "")
    command = [*HYPERCORN, "--certfile", "tls.crt", "--keyfile", "tls.key"]
    async with spawned(command, file) as served:
        answer, _ = await asked(served, client(authority))
        assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_certificates_that_cannot_be_used_are_said_at_once(
    tmp_path: Path, workers: str
) -> None:
    file = configured(tmp_path, TLS)
    command = [*GATEWAY, "--workers", workers, "--config", str(file)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    for each in (command, [*GATEWAY[:-1], "check", str(file)]):
        start = partial(popen.run, each, capture_output=True, env=environ, timeout=PATIENCE)
        found = await trio.to_thread.run_sync(start)
        assert found.returncode == 1
        said = f"error: [server.tls] cert: {tmp_path}/tls.crt: cannot be read"
        assert found.stderr.decode().startswith(said)


@pytest.mark.parametrize("tls", [False, True])
async def test_the_client_behind_proxies_is_on_record(tmp_path: Path, *, tls: bool) -> None:
    server = 'trusted_proxies = ["127.0.0.0/8", "10.0.0.0/8"]\nproxy_protocol = true'
    file = configured(tmp_path, TLS if tls else "", server)
    authority = trustme.CA()
    issue(authority, tmp_path)
    context = client(authority) if tls else None
    async with spawned(GATEWAY, file) as served:
        line = b"PROXY TCP4 %s 127.0.0.1 4711 443\r\n"
        for first, head in (
            (line % b"198.51.100.1", b""),
            (line % b"198.51.100.2", b"x-forwarded-for: 203.0.113.9\r\n"),
            (line % b"10.0.0.7", b"x-forwarded-for: 1.1.1.1, 203.0.113.7, 10.1.1.1\r\n"),
        ):
            answer, _ = await asked(served, context, head, first)
            assert answer.startswith(b"HTTP/1.1 200 ")
        await until(lambda: served.lines.count(b"\n") == 3, "three records")
        addresses = [json.loads(line)["client"] for line in served.lines.splitlines()]
        assert addresses == ["198.51.100.1", "198.51.100.2", "203.0.113.7"]
        # What comes without the header gets nothing at all.
        assert (await asked_plainly(served)) == b""
        await until(lambda: b"did not begin with a PROXY header" in served.said, "a warning")


async def asked_plainly(served: Served) -> bytes:
    stream = await trio.open_tcp_stream("127.0.0.1", served.port)
    async with stream:
        try:
            await stream.send_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
            return await stream.receive_some()
        except trio.BrokenResourceError:
            return b""
