"""A gateway over three models, and the real clients that are run against it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any, Final

import pytest
import trio

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
    "gemini": "gemini",
    "bedrock_converse": "converse",
    "cohere_chat": "cohere",
    "ollama_chat": "ollama",
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
    """Return a configuration with a model for each API: `to-chat`, `to-messages` and so on.

    With a `store` the gateway keeps responses, which callers refer to who do not say otherwise.
    """
    url = "" if store is None else f"sqlite:///{store}/gateway.db"
    found = f'[server]\nbind = "127.0.0.1:0"\n[overload]\nlag = 0\n[store]\nurl = "{url}"\n'
    found += f'[translation]\nunsupported = "{unsupported}"\n'
    if store is not None:
        found += "[responses]\nstore = true\n"
    return found + models(port)


def models(port: int) -> str:
    """Return those models and their providers, which all listen at `port`."""
    found = ""
    for api, kind, path, thinks, more in (
        ("chat", "openai", "/v1", "effort", ""),
        ("messages", "anthropic", "", "adaptive", ""),
        ("responses", "openai", "/v1", "effort", 'api = "responses"\n'),
        ("gemini", "gemini", "", "effort", ""),
        ("converse", "bedrock", "", "adaptive", ""),
        ("cohere", "cohere", "", "budget", ""),
        ("ollama", "ollama", "", "effort", ""),
    ):
        # Bedrock's models differ in how they think: this is one of Anthropic's.
        model = "anthropic.claude-opus-4-6-v1" if api == "converse" else "real-model"
        found += (
            f'[providers.{api}]\nkind = "{kind}"\nbase_url = "http://127.0.0.1:{port}{path}"\n'
            f'api_key = "sk-provider"\n{more}[[models]]\nname = "to-{api}"\n'
            f'routes = [{{ provider = "{api}", model = "{model}", reasoning = "{thinks}", '
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


async def run_vendors(base: str, asked: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return the same of the SDKs for Python of Cohere, Ollama and Amazon."""
    script = str(HERE / "vendors.py")
    return await _seen([str(PYTHON), script, base, json.dumps(asked)], cwd=HERE)


async def _seen(command: list[str], *, cwd: Path, stdin: bytes = b"") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(await run(command, {}, cwd, stdin))
    return found


def environ(env: dict[str, str], cwd: Path) -> dict[str, str]:
    """Return the environment of a client: nothing of this machine's settings, and no proxy."""
    return {"PATH": os.environ["PATH"], "HOME": str(cwd), **env}


async def run(command: list[str], env: dict[str, str], cwd: Path, stdin: bytes = b"") -> bytes:
    """Run a client; return what it writes."""
    with trio.fail_after(PATIENCE):
        done = await trio.run_process(
            command,
            stdin=stdin,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            env=environ(env, cwd),
            cwd=cwd,
        )
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    return bytes(done.stdout)
