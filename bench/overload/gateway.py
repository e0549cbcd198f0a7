"""The gateway that is measured: ten keys, of which the first is soon at its limit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from ..subjects import Launch, free_port

KEYS: Final = 10

_CONFIG: Final = """\
[server]
bind = "127.0.0.1:{port}"
drain_delay = 0

[providers.fake]
kind = "openai"
base_url = "http://127.0.0.1:{provider_port}/v1"
api_key = "sk-fake"
max_connections = 4000

[[models]]
name = "bench"
strategy = "lowest_latency"
routes = [
  {{ provider = "fake", model = "fake-model", input_price = 1.0, output_price = 2.0 }},
]
"""
_KEY_TABLE: Final = """
[[tokens]]
name = "key{number}"
key = "{key}"
models = ["*"]
rpm = {rpm}
tpm = 100_000_000_000
max_concurrent = 100_000
"""


def key(number: int) -> str:
    return f"sk-bench-{number:040d}"


def launch_of(provider_port: int, directory: Path, home: Path) -> Launch:
    port = free_port()
    text = _CONFIG.format(port=port, provider_port=provider_port)
    for number in range(KEYS):
        # The one that floods has a limit, so that nearly all it gets is refusals.
        rpm = 600 if number == 0 else 100_000_000
        text += _KEY_TABLE.format(number=number, key=key(number), rpm=rpm)
    config = directory / "gateway.toml"
    config.write_text(text)
    argv = [sys.executable, "-m", "gateway", "serve", "--config", str(config)]
    return Launch(port, argv, key=key(1), cwd=home)
