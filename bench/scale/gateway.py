"""The gateway that is measured, and the server that it may share its limits in."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..subjects import Launch, free_port

# Of the key whose limit is reached: so many at once, and a sixtieth of that each second.
RPM: Final = 600
FREE: Final = f"sk-bench-{0:040d}"
LIMITED: Final = f"sk-bench-{1:040d}"
_SERVERS: Final = ("valkey-server", "redis-server")
_START_SECONDS: Final = 20.0

_CONFIG: Final = """\
[server]
bind = "127.0.0.1:{port}"
drain_delay = 0

{state}

# Nothing is turned away for being too much: what limits refuse is counted.
[overload]
lag = 0

[providers.fake]
kind = "openai"
base_url = "http://127.0.0.1:{provider_port}/v1"
api_key = "sk-fake"
max_connections = 4000

[[models]]
name = "bench"
routes = [
  {{ provider = "fake", model = "fake-model", input_price = 1.0, output_price = 2.0 }},
]

[[tokens]]
name = "free"
key = "{free}"
models = ["*"]
rpm = 100_000_000
tpm = 100_000_000_000
max_concurrent = 100_000
budget = {{ usd = 1_000_000, window = "month" }}

[[tokens]]
name = "limited"
key = "{limited}"
models = ["*"]
rpm = {rpm}
"""


def launch_of(
    provider_port: int, directory: Path, workers: int | None, state_url: str = ""
) -> Launch:
    """Return a gateway of so many workers, of one process without a supervisor if None."""
    port = free_port()
    state = f'[state]\nurl = "{state_url}"' if state_url else ""
    config = directory / "gateway.toml"
    config.write_text(
        _CONFIG.format(
            port=port,
            provider_port=provider_port,
            state=state,
            free=FREE,
            limited=LIMITED,
            rpm=RPM,
        )
    )
    argv = [sys.executable, "-m", "gateway", "serve", "--config", str(config)]
    argv += ["--state-dir", str(directory)]
    return Launch(port, argv + (["--workers", str(workers)] if workers else []), key=FREE)


def state_server() -> str | None:
    """Return the program of a Valkey or Redis server, None if there is none."""
    return next((found for name in _SERVERS if (found := shutil.which(name))), None)


@contextlib.contextmanager
def state_at(program: str, directory: Path, *more: str) -> Iterator[str]:
    """Run a state server that keeps nothing; yield its URL. Raises TimeoutError."""
    port = free_port()
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
    with subprocess.Popen([program, *arguments, *more], stdout=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise TimeoutError(f"{program} does not listen")
                time.sleep(0.02)
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return True
    except OSError:
        return False
