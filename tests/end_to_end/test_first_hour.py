"""The first start: from an empty folder, and with all that is written in one place."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest
import trio

from gateway.config.sources.shipped import SHIPPED

from ..fork_server import popen
from .caller import ask, get
from .harness import EXECUTED, GATEWAY, HYPERCORN, PATIENCE, ROOT, spawned
from .provider import until

pytestmark = pytest.mark.slow

PORT = ("--bind", "127.0.0.1:0")


async def run(folder: Path, *arguments: str, **environ: str) -> str:
    """Return what a command says."""
    without = {name: value for name, value in os.environ.items() if name != "GATEWAY_CONFIG"}
    start = partial(
        popen.run,
        [sys.executable, "-m", "gateway", *arguments],
        cwd=folder,
        env={**without, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return str((await trio.to_thread.run_sync(start)).stdout)


@pytest.mark.parametrize(
    "command",
    [(*EXECUTED, *PORT), (*GATEWAY, *PORT, "--workers", "2"), HYPERCORN],
    ids=["one", "two", "hypercorn"],
)
async def test_an_empty_folder_serves_the_demo_and_stays_empty(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    async with spawned(command, folder=tmp_path) as served:
        answer = await ask(served.port, model="demo")
        while answer.status == 503:
            # The demo sheds what comes while the machine is busy with something else.
            assert answer.error["code"] == "overloaded"
            await trio.sleep(float(answer.headers["retry-after"]))
            answer = await ask(served.port, model="demo")
        assert "demo provider" in answer.json["choices"][0]["message"]["content"]
        served.process.send_signal(signal.SIGINT)
        assert await served.exit_status() == 0
    assert os.listdir(tmp_path) == []
    if command is not HYPERCORN:
        assert b"there is no config.toml here, so this is the demo, in memory" in served.said
        assert served.said.count(b"this is the demo") == 1
        assert b"-m gateway init` writes a configuration" in served.said


async def test_a_demo_takes_up_the_file_that_init_writes(tmp_path: Path) -> None:
    async with spawned((*GATEWAY, *PORT), folder=tmp_path) as served:
        await run(tmp_path, "init")
        file = tmp_path / "config.toml"
        file.write_text(file.read_text().replace('name = "demo"\nroutes', 'name = "mine"\nroutes'))
        served.process.send_signal(signal.SIGHUP)
        await until(lambda: b"configuration reloaded" in served.said, "a reload")
        models = await get(served.port, "/v1/models")
        assert [model["id"] for model in models.json["data"]] == ["mine"]


@pytest.mark.parametrize("by", ["file", "option"])
async def test_all_that_is_written_is_in_the_folder_of_the_state(tmp_path: Path, by: str) -> None:
    folder, state = tmp_path / "etc", tmp_path / "var" / "state"
    folder.mkdir()
    text = SHIPPED.read_text() + "\n[debug_log]\nsample = 1.0\n"
    text = text.replace("\n[debug_log]\n# tokens", "\n# [debug_log]\n# tokens")
    if by == "file":
        text = text.replace("[server]\n", '[server]\nstate_dir = "../var/state"\n')
    file = folder / "config.toml"
    file.write_text(text)
    option = ("--state-dir", str(state)) if by == "option" else ()
    # The file as the one argument is the configuration.
    async with spawned([*GATEWAY, str(file), *PORT, *option]) as served:
        assert (await ask(served.port, model="demo")).json
        await until(lambda: any((state / "debug").rglob("*")), "a captured request")
        more = {"GATEWAY_STATE_DIR": str(state)} if by == "option" else {}
        key = await run(folder, "tokens", "create", "me", "--config", str(file), **more)
        await until(lambda: b"configuration reloaded" in served.said, "a reload")
        answer = await ask(served.port, key=key.strip(), model="demo")
        assert answer.status == 200
        said = await run(folder, "audit", "list", "--config", str(file), **more)
        assert "token_created" in said
        assert [each.name for each in os.scandir(folder)] == ["config.toml"]
        names = {each.name for each in os.scandir(state)}
        wanted = {".gitignore", "debug", "gateway.db", "gateway.pid", "tokens.toml"}
        assert wanted <= names
        assert "gateway.journal" in names or len(names) > len(wanted)
