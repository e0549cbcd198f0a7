"""Make calls with one of the two lines of the SDK that are in use, in a process of its own."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import trio

from .harness import ROOT

SCRIPT: Final = Path(__file__).with_name("sdk_script.py")
OLDER: Final = "GATEWAY_OPENAI2_PYTHON"
VERSIONS: Final = ("3", "2")
# Seconds for an order; its calls have 20 each.
PATIENCE: Final = 120.0


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
    script = _idle[version].pop() if _idle[version] else _Script(version)
    with trio.fail_after(PATIENCE):
        answer = await script.carry_out(order)
    _idle[version].append(script)
    assert answer["version"].startswith(f"{version}."), answer["version"]
    seen: list[dict[str, Any]] = answer["seen"]
    assert len(seen) == len(calls)
    return seen


class _Script:
    """A process that carries out one order after the other; it ends with the tests."""

    def __init__(self, version: str) -> None:
        # Nothing of this machine's settings for the SDK, and no proxy, may reach it.
        env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("OPENAI_") and not name.lower().endswith("_proxy")
        }
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # as long as the process
        self._process = subprocess.Popen(  # noqa: S603  # ours
            [interpreter(version), str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=env,
            cwd=SCRIPT.parent,
        )
        atexit.register(self._end)

    async def carry_out(self, order: dict[str, Any]) -> dict[str, Any]:
        """Return the script's answer; the process is killed if it is not waited for."""
        try:
            line = await trio.to_thread.run_sync(self._answer, order, abandon_on_cancel=True)
            answer: dict[str, Any] = json.loads(line)
        except BaseException:
            self._process.kill()
            raise
        return answer

    def _answer(self, order: dict[str, Any]) -> bytes:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace")
            raise AssertionError(f"the script ended with {self._process.returncode}:\n{said}")
        return line

    def _end(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()


# The processes without an order, by the SDK's line.
_idle: Final[dict[str, list[_Script]]] = {version: [] for version in VERSIONS}


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
