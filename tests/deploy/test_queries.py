"""What the dashboard and the rules ask, asked of a real Prometheus that a gateway was scraped by.

Names and labels are compared in `test_alerts.py` and `tests/telemetry`; here it is whether they
fit together: a query that divides series by others with more labels is valid and says nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import pytest

from ..fork_server.popen import Popen
from ..ports import lasting_port
from .test_alerts import FILE, RULES

ROOT: Final = Path(__file__).parents[2]
DASHBOARD: Final = json.loads((ROOT / "deploy" / "grafana" / "gateway.json").read_text())
CONFIG: Final = """
[server]
bind = "127.0.0.1:{port}"
state_dir = "{folder}"
drain_delay = 0
[metrics]
public = true
[retry]
base = 0.01
cap = 0.02
[debug_log]
tokens = ["t"]
[providers.demo]
kind = "demo"
token_interval = 0.001
max_concurrent = 9
[providers.dead]
kind = "openai"
base_url = "http://127.0.0.1:9/v1"
api_key = "sk-dead"
[[models]]
name = "m"
cache = {{ ttl = 300 }}
routes = [
  {{ provider = "dead", model = "x", input_price = 1, output_price = 2 }},
  {{ provider = "demo", model = "demo-1", input_price = 1, output_price = 2 }},
]
[[models]]
name = "unpriced"
routes = [{{ provider = "demo", model = "demo-1" }}]
[[models]]
name = "broken"
routes = [
  {{ provider = "dead", model = "y", input_price = 1, output_price = 2 }},
  {{ provider = "dead", model = "z", input_price = 1, output_price = 2 }},
]
[breaker]
consecutive_failures = 1000
[[tokens]]
name = "t"
key = "sk-a-test-token"
max_concurrent = 4
budget = {{ usd = 100.0, window = "day" }}
"""
PROMETHEUS: Final = """
global: {{ scrape_interval: 1s, evaluation_interval: 1s }}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: gateway
    static_configs: [{{ targets: ["127.0.0.1:{port}"] }}]
"""
# Only gateways that share their limits have these.
SHARED: Final = "gateway_limits_"
STREAM: Final = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
SETTINGS: Final = {
    "$__rate_interval": "20s",
    "$__range": "1m",
    **dict.fromkeys(("$model", "$provider", "$token"), ".*"),
}


def expressions() -> Iterator[tuple[str, str]]:
    panels = [inner for each in DASHBOARD["panels"] for inner in each.get("panels", [each])]
    for panel in panels:
        for target in panel.get("targets", ()):
            text = target["expr"]
            for name, value in SETTINGS.items():
                text = text.replace(name, value)
            yield panel["title"], text


def answered(port: int, what: str, **params: str) -> Any:
    url = f"http://127.0.0.1:{port}/api/v1/{what}?{urllib.parse.urlencode(params)}"
    with urllib.request.urlopen(url, timeout=30) as reply:  # this host
        return json.load(reply)["data"]


def asked(
    port: int, body: dict[str, Any], path: str = "/v1/chat/completions", **headers: str
) -> None:
    request = urllib.request.Request(  # this host
        f"http://127.0.0.1:{port}{path}",
        json.dumps(body).encode(),
        {"content-type": "application/json", "authorization": "Bearer sk-a-test-token"} | headers,
    )
    with suppress(OSError), urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
        reply.read()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed")
def test_every_query_finds_something_where_there_is_traffic(tmp_path: Path) -> None:
    port, asks = lasting_port(), lasting_port()
    (tmp_path / "config.toml").write_text(CONFIG.format(port=port, folder=tmp_path))
    (tmp_path / "prometheus.yml").write_text(PROMETHEUS.format(rules=FILE, port=port))
    commands = (
        [sys.executable, "-m", "gateway", "serve", str(tmp_path / "config.toml")],
        [
            "prometheus",
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{asks}",
        ],
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    with ExitStack() as stack:
        log = stack.enter_context(open(tmp_path / "log", "wb"))
        processes = []
        for command in commands:
            process = stack.enter_context(Popen(command, env=environ, stdout=log, stderr=log))
            stack.callback(process.terminate)
            processes.append(process)
        wanted = [each for each in dict.fromkeys(expressions()) if SHARED not in each[1]]
        empty: list[tuple[str, str]] = []
        deadline = time.monotonic() + 90
        turn = 0
        while time.monotonic() < deadline:
            turn += 1
            ended = [each.args for each in processes if each.poll() is not None]
            assert ended == [], (tmp_path / "log").read_text()[-2000:]
            asked(port, STREAM | {"max_tokens": 5 + turn % 40})
            asked(port, STREAM | {"stream": False}, **{"x-gateway-cache": "ttl=300"})
            for model in ("unpriced", "broken", "nope"):
                asked(port, STREAM | {"model": model})
            asked(port, STREAM, path="/v1/fax")
            asked(port, STREAM, authorization="Bearer sk-nobodys")
            with suppress(OSError):
                empty = [
                    (title, text)
                    for title, text in wanted
                    if not answered(asks, "query", query=text)["result"]
                ]
                if turn > 1 and not empty:
                    break
            time.sleep(0.5)
        assert not empty, "\n".join(map(str, empty))
        groups = answered(asks, "rules")["groups"]
        rules = {each["name"]: each for group in groups for each in group["rules"]}
        assert rules.keys() == {each["alert"] for each in RULES}
        assert {each["health"] for each in rules.values()} == {"ok"}, rules
