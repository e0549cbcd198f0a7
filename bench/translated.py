"""What an event costs a running gateway for each caller on each provider: 49 pairs of seven APIs.

    python -m bench translated

A provider in this process answers in all of them, with all events of a stream at once. One caller
asks again and again, and the gateway's CPU time is read before and after: the kernel tells the
processes apart, so it does not matter that the others share a core.
"""

from __future__ import annotations

import json
import os
import re
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from .streams import EVENTS, streams
from .subjects import free_port
from .tree import Tree

APIS: Final = ("chat", "messages", "responses", "gemini", "converse", "cohere", "ollama")
PATHS: Final = {
    "chat": "/v1/chat/completions",
    "messages": "/v1/messages",
    "responses": "/v1/responses",
    "gemini": "/v1beta/models/{model}:streamGenerateContent?alt=sse",
    "converse": "/model/{model}/converse-stream",
    "cohere": "/v2/chat",
    "ollama": "/api/chat",
}
_KINDS: Final = {
    "messages": "anthropic",
    "gemini": "gemini",
    "converse": "bedrock",
    "cohere": "cohere",
    "ollama": "ollama",
}
_CONFIG: Final = """\
[server]
bind = "127.0.0.1:{port}"
drain_delay = 0
[overload]
lag = 0
[store]
url = ""
"""
_PROVIDER: Final = """\
[providers.{api}]
kind = "{kind}"
base_url = "http://127.0.0.1:{port}{path}"
api_key = "sk-fake"
{more}[[models]]
name = "{api}"
routes = [{{ provider = "{api}", model = "fake", input_price = 1.0, output_price = 2.0 }}]
"""
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
# How a piece of the text looks to each caller, and how a stream ends.
_PIECE: Final = {
    "chat": re.compile(rb'"content": ?" hello"'),
    "messages": re.compile(rb'"text_delta","text": ?" hello"'),
    "responses": re.compile(rb'"delta": ?" hello"'),
    "gemini": re.compile(rb'"text": ?" hello"'),
    "converse": re.compile(rb'"text": ?" hello"'),
    "cohere": re.compile(rb'"text": ?" hello"'),
    "ollama": re.compile(rb'"content": ?" hello"'),
}
_END: Final = {
    "chat": b"[DONE]",
    "messages": b"message_stop",
    "responses": b"response.completed",
    "gemini": b"STOP",
    "converse": b"messageStop",
    "cohere": b"message-end",
    "ollama": b"done_reason",
}


class WrongStream(Exception):
    """A stream is not what the provider sent."""


class Provider:
    """Answers every request with the stream of its path, as long as this process lives."""

    def __init__(self) -> None:
        self._answers = {
            PATHS[api].format(model="fake").partition("?")[0]: stream
            for api, stream in streams().items()
        }
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        held = b""
        with peer:
            while True:
                end = held.find(b"\r\n\r\n") + 4
                found = _LENGTH.search(held, 0, end) if end > 3 else None
                size = end + int(found[1]) if found else 0
                if found and len(held) >= size:
                    path = held.split(b" ", 2)[1].split(b"?")[0].decode()
                    held = held[size:]
                    peer.sendall(self._answers[path])
                    continue
                data = peer.recv(65536)
                if not data:
                    return
                held += data


def body_of(caller: str, model: str) -> bytes:
    """Return what a caller of an API asks."""
    body: dict[str, Any] = {"model": model, "stream": True}
    if caller == "responses":
        body["input"] = "Hi"
    elif caller == "gemini":
        body = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    elif caller == "converse":
        body = {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
    else:
        body["messages"] = [{"role": "user", "content": "Hi"}]
    if caller in ("chat", "messages", "cohere"):
        body["max_tokens"] = 512
    return json.dumps(body).encode()


def ask(connection: socket.socket, port: int, caller: str, model: str) -> None:
    """Ask once and read the answer. Raises WrongStream if it is not whole."""
    body = body_of(caller, model)
    head = (
        f"POST {PATHS[caller].format(model=model)} HTTP/1.1\r\n"
        f"host: 127.0.0.1:{port}\r\nauthorization: Bearer x\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    found = bytearray()
    while not found.endswith(b"\r\n0\r\n\r\n"):
        data = connection.recv(262144)
        if not data:
            break
        found += data
    text = bytes(found)
    count = len(_PIECE[caller].findall(text))
    if not text.startswith(b"HTTP/1.1 200") or count != EVENTS or _END[caller] not in text:
        raise WrongStream(f"{caller} on {model}: {count} events, {text[:300]!r}")


def asked(port: int, caller: str, model: str, times: int) -> None:
    """Ask so often, on a connection that serves no more than one measurement."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        for _ in range(times):
            ask(connection, port, caller, model)


def measure(
    out: Path,
    *,
    rounds: int,
    requests: int,
    core: int | None,
    say: Callable[[str], None],
    warm_up: int = 20,
) -> dict[str, float]:
    """Return the microseconds of CPU that an event takes, by `CALLER on PROVIDER`.

    `warm_up` requests of each pair are not counted: what is made once is made by then.
    """
    provider, port = Provider(), free_port()
    made = _CONFIG.format(port=port)
    for api in APIS:
        kind = _KINDS.get(api, "openai")
        path = "/v1" if kind == "openai" else ""
        more = f'api = "{api}"\n' if kind == "openai" else ""
        made += _PROVIDER.format(api=api, kind=kind, port=provider.port, path=path, more=more)
    file = out / "gateway.toml"
    file.write_text(made)
    argv = [sys.executable, "-m", "gateway", "serve", "--config", str(file)]
    gateway = Tree.start("gateway", argv, core=core, log=out / "gateway.log")
    taken: dict[str, list[float]] = {}
    try:
        _connected(port, gateway).close()
        pairs = [(caller, model) for caller in APIS for model in APIS]
        for caller, model in pairs:
            asked(port, caller, model, warm_up)
        for number in range(rounds):
            for caller, model in pairs:
                before = gateway.usage().cpu
                asked(port, caller, model, requests)
                spent = gateway.usage().cpu - before
                taken.setdefault(f"{caller} on {model}", []).append(spent / requests / EVENTS * 1e6)
            say(f"round {number + 1} of {rounds}")
    finally:
        gateway.stop()
        provider.close()
    return {name: statistics.median(each) for name, each in taken.items()}


def _connected(port: int, gateway: Tree) -> socket.socket:
    for _ in range(300):
        if gateway.popen.poll() is not None:
            break
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=30)
        except OSError:
            time.sleep(0.1)
    raise WrongStream(f"the gateway does not listen: see {gateway.log}")


def show(found: dict[str, float], console: Console) -> None:
    """Print them, and how they compare with what the caller pays within its own API."""
    table = Table(title="µs of CPU an event, and times that of the caller's own API")
    table.add_column("caller")
    for api in APIS:
        table.add_column(f"on {api}", justify="right")
    for caller in APIS:
        own = found[f"{caller} on {caller}"]
        cells = [found[f"{caller} on {api}"] for api in APIS]
        table.add_row(caller, *(f"{each:.1f} ({each / own:.2f})" for each in cells))
    console.print(table)


def cores() -> int | None:
    """Return the core for the gateway alone, if there is more than one."""
    available = sorted(os.sched_getaffinity(0))
    return available[0] if len(available) > 1 else None
