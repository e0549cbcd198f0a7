"""Run the SDK script with one of the two lines of the SDK that are in use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import trio

from .harness import ROOT

SCRIPT: Final = Path(__file__).with_name("sdk_script.py")
OLDER: Final = "GATEWAY_OPENAI2_PYTHON"
VERSIONS: Final = ("3", "2")


def interpreter(version: str) -> str:
    """Return the Python that has the SDK's line `version`; fails if there is none."""
    if version == "3":
        return sys.executable
    found = Path(os.environ.get(OLDER) or ROOT / ".venv-openai2" / "bin" / "python")
    assert found.is_file(), (
        f"there is no {found}: run `make setup`, or let {OLDER} name a Python with openai 2.x"
    )
    return str(found)


async def run_sdk(
    version: str,
    base_url: str,
    calls: list[dict[str, Any]],
    *,
    client: str = "sync",
    api_key: str = "sk-good-key",
) -> list[dict[str, Any]]:
    """Return what the SDK saw of each of `calls` (see sdk_script.py)."""
    order = {"base_url": base_url, "api_key": api_key, "client": client, "calls": calls}
    # Nothing of this machine's settings for the SDK, and no proxy, may reach it.
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("OPENAI_") and not name.lower().endswith("_proxy")
    }
    done = await trio.run_process(
        [interpreter(version), str(SCRIPT)],
        stdin=json.dumps(order).encode(),
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        env=env,
        cwd=SCRIPT.parent,
    )
    _check(done, version)
    answer = json.loads(done.stdout)
    assert answer["version"].startswith(f"{version}."), answer["version"]
    seen: list[dict[str, Any]] = answer["seen"]
    assert len(seen) == len(calls)
    return seen


def _check(done: subprocess.CompletedProcess[bytes], version: str) -> None:
    said = done.stderr.decode(errors="replace")
    assert done.returncode == 0, f"the script on openai {version}.x failed:\n{said}"


def chat(**arguments: Any) -> dict[str, Any]:
    """Return a call of `chat.completions.create`."""
    options: dict[str, Any] = {
        name: arguments.pop(name) for name in ("raw", "max_retries", "api_key") if name in arguments
    }
    given = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **arguments}
    return {"do": "chat", "with": given, **options}


def call_of(do: str, **arguments: Any) -> dict[str, Any]:
    """Return a call of the `create` of another resource: embeddings, completions, ..."""
    options: dict[str, Any] = {
        name: arguments.pop(name) for name in ("raw", "max_retries", "api_key") if name in arguments
    }
    return {"do": do, "with": {"model": "m", **arguments}, **options}
