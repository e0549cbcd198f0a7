"""What is measured, and how each is started.

direct      the fake provider itself, nothing between: what the harness adds
hypercorn   `hypercorn -k trio` with the app of bare.py: the floor
gateway     this gateway: key checked, request log on, usage and cost of every request
previous    another checkout of this gateway, in the directory that BENCH_PREVIOUS names
litellm     LiteLLM's proxy, as litellm.py sets it up
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from . import bare, litellm
from .chunks import PROVIDER_MODEL

_ROOT: Final = Path(__file__).parent.parent
KEY: Final = "sk-bench-0123456789abcdef0123456789abcdef"

_GATEWAY_CONFIG: Final = """\
[server]
bind = "127.0.0.1:{port}"
drain_delay = 0

[providers.fake]
kind = "openai"
base_url = "http://127.0.0.1:{provider_port}/v1"
api_key = "sk-fake"
# More than the most streams at once: a thousand of them must not wait for each other.
max_connections = 4000

# A subject is stopped while others have their turn, and looks overloaded when it goes on.
[overload]
lag = 0

# Limits that are never reached, all of them, and a strategy that has to look: what it costs to
# have them is part of the figures.
[limits]
rpm = 100_000_000
tpm = 100_000_000_000
max_concurrent = 100_000

[[models]]
name = "bench"
strategy = "lowest_latency"
routes = [
  {{ provider = "fake", model = "fake-model", input_price = 1.0, output_price = 2.0 }},
]

[[tokens]]
name = "bench"
key = "${{BENCH_KEY}}"
models = ["*"]
rpm = 100_000_000
tpm = 100_000_000_000
max_concurrent = 100_000
budget = {{ usd = 1_000_000, window = "month" }}
"""


class Launch(msgspec.Struct, frozen=True):
    """How to start a subject, and how to ask it."""

    port: int
    argv: list[str]
    model: str = "bench"
    # The model that answers name, if it is not the one that is asked for.
    said: str = ""
    key: str = KEY
    env: Mapping[str, str] = {}
    cwd: Path = _ROOT

    @property
    def answers_as(self) -> str:
        return self.said or self.model

    def request(self, body: bytes) -> bytes:
        """Return a whole HTTP request, as an OpenAI client would send it."""
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{self.port}\r\n"
            f"Authorization: Bearer {self.key}\r\n"
            "Accept: application/json\r\n"
            "Content-Type: application/json\r\n"
            "User-Agent: OpenAI/Python 3.54.0\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode("ascii") + body


def direct(provider_port: int) -> Launch:
    return Launch(port=provider_port, argv=[], model=PROVIDER_MODEL)


def _hypercorn(port: int, provider_port: int, directory: Path) -> Launch:
    del provider_port, directory
    arguments = ["-k", "trio", "-b", f"127.0.0.1:{port}", "bench.bare:app"]
    return Launch(port, [sys.executable, "-m", "hypercorn", *arguments], model=bare.MODEL)


def _gateway(port: int, provider_port: int, directory: Path) -> Launch:
    config = directory / "gateway.toml"
    config.write_text(_GATEWAY_CONFIG.format(port=port, provider_port=provider_port))
    argv = [sys.executable, "-m", "gateway", "serve", "--config", str(config)]
    return Launch(port, argv, env={"BENCH_KEY": KEY})


def _previous(port: int, provider_port: int, directory: Path) -> Launch:
    # Python looks for modules in the directory that it is started in first, so the other
    # checkout's code runs with this one's libraries.
    launch = _gateway(port, provider_port, directory)
    return msgspec.structs.replace(launch, cwd=Path(os.environ["BENCH_PREVIOUS"]).resolve())


def _litellm(port: int, provider_port: int, directory: Path) -> Launch:
    argv = litellm.command(port, provider_port, directory)
    return Launch(port, argv, key=litellm.KEY, env=litellm.ENVIRONMENT, cwd=directory)


DIRECT: Final = "direct"
PREPARE: Final[dict[str, Callable[[int, int, Path], Launch]]] = {
    "hypercorn": _hypercorn,
    "gateway": _gateway,
    "previous": _previous,
    "litellm": _litellm,
}
SUBJECTS: Final = (DIRECT, *PREPARE)


def free_port() -> int:
    """Return a port that nothing listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
