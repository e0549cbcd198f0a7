"""A gateway over three models, and the real clients that are run against it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from gateway.config.schema import Config
from gateway.core.dialects.translators import TRANSLATORS

from ..end_to_end.harness import ROOT

NODE: Final = ROOT / ".node-clients"
PYTHON: Final = ROOT / ".venv-clients" / "bin" / "python"
HERE: Final = Path(__file__).parent
# A client that hangs fails the test, and not the run.
PATIENCE: Final = 90.0

# The APIs as people know them, by the names of their dialects.
APIS: Final = {
    "openai_chat": "chat",
    "anthropic_messages": "messages",
    "openai_responses": "responses",
}


def targets_of(api: str) -> list[str]:
    """Return which APIs a provider may have behind a caller of `api`."""
    named = {name: dialect for dialect, name in APIS.items()}
    return [
        other
        for other in APIS.values()
        if other == api or (named[api] in TRANSLATORS and named[other] in TRANSLATORS)
    ]


def config(port: int, *, unsupported: str = "refuse", store: Path | None = None) -> str:
    """Return a configuration with the models `to-chat`, `to-messages` and `to-responses`.

    With a `store` the gateway keeps responses, which callers refer to who do not say otherwise.
    """
    url = "" if store is None else f"sqlite:///{store}/gateway.db"
    found = f'[server]\nbind = "127.0.0.1:0"\n[overload]\nlag = 0\n[store]\nurl = "{url}"\n'
    found += f'[translation]\nunsupported = "{unsupported}"\n'
    if store is not None and "responses" in Config.__struct_fields__:
        found += "[responses]\nstore = true\n"
    for api, kind, path, more in (
        ("chat", "openai", "/v1", ""),
        ("messages", "anthropic", "", ""),
        ("responses", "openai", "/v1", 'api = "responses"\n'),
    ):
        thinks = "adaptive" if api == "messages" else "effort"
        found += (
            f'[providers.{api}]\nkind = "{kind}"\nbase_url = "http://127.0.0.1:{port}{path}"\n'
            f'api_key = "sk-provider"\n{more}[[models]]\nname = "to-{api}"\n'
            f'routes = [{{ provider = "{api}", model = "real-model", reasoning = "{thinks}", '
            "input_price = 1, output_price = 2 }]\n"
        )
    return found


def need_node() -> None:
    """Skip the test where the clients of Node cannot be had."""
    if shutil.which("node") is None:
        pytest.skip("there is no node")
    if not (NODE / "node_modules").is_dir():
        pytest.skip("the clients are not installed: scripts/clients")


def need_python() -> None:
    """Skip the test where the clients of Python cannot be had."""
    if not PYTHON.exists():
        pytest.skip("the clients are not installed: scripts/clients")


async def run_node(base: str, asked: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return what each client has seen of a model; `asked` are pairs of both."""
    # From the standard input it finds modules from where it runs.
    script = (HERE / "node" / "sdks.mjs").read_bytes()
    command = ["node", "--input-type=module", "-", base, json.dumps(asked)]
    return await _seen(command, cwd=NODE, stdin=script)


async def run_python(base: str, asked: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return the same of the clients of Python."""
    script = str(HERE / "python_script.py")
    return await _seen([str(PYTHON), script, base, json.dumps(asked)], cwd=HERE)


async def run_claude_code(base: str, model: str, folder: Path, question: str) -> str:
    """Return what Claude Code answers in print mode; it may read files of `folder`."""
    home = folder / ".home"
    home.mkdir()
    env = {
        "HOME": str(home),
        "ANTHROPIC_BASE_URL": base,
        "ANTHROPIC_AUTH_TOKEN": "sk-any",
        "ANTHROPIC_SMALL_FAST_MODEL": model,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    command = [str(NODE / "node_modules" / ".bin" / "claude"), "-p", question, "--model", model]
    command += ["--output-format", "json", "--allowedTools", "Read"]
    told = json.loads(await _run(command, cwd=folder, env=env))
    assert told["subtype"] == "success", told
    return str(told["result"])


async def run_codex(base: str, model: str, folder: Path, question: str) -> str:
    """Return what Codex answers in print mode; it may run commands in `folder`."""
    home = folder / ".home"
    home.mkdir()
    (home / "config.toml").write_text(
        f'model = "{model}"\nmodel_provider = "gateway"\n[model_providers.gateway]\n'
        f'name = "gateway"\nbase_url = "{base}/v1"\nenv_key = "GATEWAY_KEY"\n'
        'wire_api = "responses"\nrequest_max_retries = 0\nstream_max_retries = 0\n'
        "[analytics]\nenabled = false\n"
    )
    env = {"HOME": str(home), "CODEX_HOME": str(home), "GATEWAY_KEY": "sk-any"}
    command = [str(NODE / "node_modules" / ".bin" / "codex"), "exec", "--skip-git-repo-check"]
    # The command that is run is the test's own.
    command += ["--dangerously-bypass-approvals-and-sandbox", "--json", question]
    lines = (await _run(command, cwd=folder, env=env)).decode().splitlines()
    items = [event["item"] for line in lines if "item" in (event := json.loads(line))]
    said = [item["text"] for item in items if item["type"] == "agent_message"]
    assert said, lines
    return str(said[-1])


async def _seen(command: list[str], *, cwd: Path, stdin: bytes = b"") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(await _run(command, cwd=cwd, env={}, stdin=stdin))
    return found


async def _run(command: list[str], *, cwd: Path, env: dict[str, str], stdin: bytes = b"") -> bytes:
    # Nothing of this machine's settings for clients, and no proxy, may reach them.
    environ = {"PATH": os.environ["PATH"], "HOME": str(cwd), **env}
    with trio.fail_after(PATIENCE):
        done = await trio.run_process(
            command,
            stdin=stdin,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            env=environ,
            cwd=cwd,
        )
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    return bytes(done.stdout)
