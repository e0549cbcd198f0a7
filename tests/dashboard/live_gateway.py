"""A gateway in a process of its own, with traffic that it has really served."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.store.engine import migrate
from gateway.store.engine.database import Database

from ..admin.accounts.people import PASSWORD, new_user
from ..fork_server.popen import FORKS_PAGES, ROOT, Popen
from ..ports import lasting_port
from ..store.migrated import write_migrated
from .provider import MARKUP, ScriptedServer, make_provider

KEY, NAME = "sk-caller-key", "ann"

_CONFIG = """
[server]
bind = "127.0.0.1:{port}"
drain_delay = 0
drain_timeout = 1
[log]
requests = false
[store]
url = "{url}"
[debug_log]
sample = 1.0
[providers.demo]
kind = "demo"
[providers.scripted]
kind = "openai"
base_url = "http://127.0.0.1:{provider}/v1"
api_key = "sk-provider-key"
[[models]]
name = "demo"
routes = [{{ provider = "demo", model = "demo", input_price = 0.15, output_price = 0.6 }}]
[[models]]
name = "weather"
routes = [
    {{ provider = "scripted", model = "sick" }},
    {{ provider = "scripted", model = "tools", input_price = 2.5, output_price = 10 }},
]
[[models]]
name = "plain"
routes = [{{ provider = "scripted", model = "other", input_price = 2.5, output_price = 10 }}]
[[models]]
name = "slow"
routes = [{{ provider = "scripted", model = "slow", input_price = 2.5, output_price = 10 }}]
[[tokens]]
name = "team"
key = "{key}"
budget = {{ usd = 0.0001, window = "month" }}
[[tokens]]
name = "team-2"
key = "{key}-2"
"""
__all__ = ["PASSWORD"]
IMAGE = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mM="


@dataclass
class LiveGateway:
    port: int
    folder: Path
    provider: ScriptedServer
    pid: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, model: str, text: str = "Hello", *, stream: bool = False, key: str = f"{KEY}-2"
    ) -> int:
        """Send a request with markup wherever a caller may put some; return the status."""
        content = [
            {"type": "text", "text": f"{text} {MARKUP}"},
            {"type": "image_url", "image_url": {"url": IMAGE}},
        ]
        messages = [{"role": "system", "content": MARKUP}, {"role": "user", "content": content}]
        body = {
            "model": model,
            "messages": messages,
            "stream": stream,
            "user": MARKUP,
            "max_tokens": 9,
        }
        request = urllib.request.Request(  # noqa: S310  # loopback
            f"{self.url}/v1/chat/completions",
            json.dumps(body).encode(),
            {
                "authorization": f"Bearer {key}",
                "content-type": "application/json",
                "x-session-id": f"session {MARKUP}",
                "user-agent": f"agent {MARKUP}",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                answer.read()
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                error.read()
            return error.code


@contextlib.contextmanager
def live_gateway(
    folder: Path,
    url: str = "sqlite:///gateway.db",
    workers: int = 1,
    *,
    user: bool = True,
    more: str = "",
) -> Iterator[LiveGateway]:
    """Run a gateway with the user `NAME`, an admin; or with none, as when it is new.

    `more` are other tables of its configuration.
    """
    port, provider = lasting_port(), lasting_port()
    (folder / "config.toml").write_text(
        _CONFIG.format(port=port, provider=provider, key=KEY, url=url) + more
    )
    if url.startswith("sqlite:"):
        write_migrated(folder)
    database = Database(url, folder)
    if not url.startswith("sqlite:"):
        migrate.upgrade(database)
    if user:
        new_user(database, NAME, "admin")
    database.close()
    server = make_provider(provider)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(folder / "config.toml")]
    command += ["--workers", str(workers)]
    with (folder / "log").open("wb") as log:
        environ = {**os.environ, "PYTHONPATH": str(ROOT), FORKS_PAGES: "1"}
        process = Popen(command, stdout=log, stderr=log, cwd=folder, env=environ)
    try:
        _wait_ready(port, process)
        yield LiveGateway(port, folder, server, process.pid)
    finally:
        process.terminate()
        process.wait(20)
        server.shutdown()
        server.server_close()
        thread.join()


def _wait_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError):
            url = f"http://127.0.0.1:{port}/health/ready"
            with urllib.request.urlopen(url, timeout=5):
                return
        time.sleep(0.1)
    raise AssertionError("the gateway does not become ready")
