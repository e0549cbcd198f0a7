"""Claude Code and Codex in print mode: pictures, compaction, and being killed in the middle."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import zlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from gateway.core.records.record import EndReason

from ..end_to_end.harness import InProcess, in_process
from ..end_to_end.provider import Asked, Provider, serving, until
from ..end_to_end.wire import STALL, Script
from ..rounds import rounds
from .any_model import AnyModel
from .coding_agents import (
    claude_code,
    claude_code_for_bedrock,
    codex,
    told_by_claude_code,
    told_by_codex,
)
from .model import ScriptedModel
from .page import check_table, table
from .test_clients import QUESTION, WORD, choose
from .world import config, environ, need_node

pytestmark = pytest.mark.slow

TARGETS: Final = ("chat", "messages", "responses")
# How the file of `picture` begins, in base64.
PICTURE: Final = "iVBORw0KGgoAAAANSUhEUg"


def picture() -> bytes:
    """Return a PNG of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + b"\xff\0\0" * 16 for _ in range(16))
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


async def for_all(work: Callable[[str], Awaitable[None]], targets: Sequence[str] = TARGETS) -> None:
    """Do the work for a provider of each API, side by side."""
    async with trio.open_nursery() as nursery:
        for target in targets:
            nursery.start_soon(partial(work, target))


def folder_of(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name.replace(" ", "-")
    folder.mkdir()
    (folder / "note.txt").write_text(WORD + "\n")
    return folder


def sent_to(provider: Provider, target: str) -> list[str]:
    """Return the bodies that the provider of an API was sent."""
    ends = {"chat": "/chat/completions", "messages": "/messages", "responses": "/responses"}
    asked = [each for each in provider.asked if each.method == "POST"]
    return [
        each.body.decode() for each in asked if each.target.split("?")[0].endswith(ends[target])
    ]


class Looks(ScriptedModel):
    """Reads a file until it has seen it, wherever an API has its place for a picture."""

    def __init__(self, shown: Path) -> None:
        read: tuple[str, dict[str, Any]] = ("Read", {"file_path": str(shown)})
        self._read = lambda names: read if "Read" in names else None
        super().__init__(self._read)

    def __call__(self, asked: Asked) -> Script:
        seen = PICTURE.encode() in asked.body
        self.choose = (lambda _: None) if seen else self._read
        return super().__call__(asked)


async def test_a_picture_arrives(tmp_path: Path) -> None:
    need_node()
    shown = tmp_path / "picture.png"
    shown.write_bytes(picture())
    async with serving(Looks(shown)) as provider, in_process(config(provider.port)) as gateway:
        base = f"http://127.0.0.1:{gateway.port}"

        async def look(target: str) -> None:
            folder = folder_of(tmp_path, f"claude {target}")
            await told_by_claude_code(claude_code(base, f"to-{target}", folder, "What is it?"))
            folder = folder_of(tmp_path, f"codex {target}")
            more = ("-i", str(shown))
            await told_by_codex(codex(base, f"to-{target}", folder, "What is it?", *more))

        # To each agent one of them is another API than its own.
        targets = rounds(TARGETS[1:], TARGETS)
        await for_all(look, targets)
        await gateway.settled()
    assert {record.end_reason for record in gateway.records} == {EndReason.COMPLETE}
    for target in targets:
        bodies = sent_to(provider, target)
        # Claude Code's second turn has it as its tool's result, Codex's first as its own.
        assert sum(PICTURE in body for body in bodies) == 2, target


async def test_claude_code_compacts_and_goes_on(tmp_path: Path) -> None:
    need_node()
    model = ScriptedModel(choose(tmp_path))
    (tmp_path / "note.txt").write_text(WORD + "\n")
    lengths: dict[str, list[int]] = {}
    async with serving(model) as provider, in_process(config(provider.port)) as gateway:
        base = f"http://127.0.0.1:{gateway.port}"

        async def talk(target: str) -> None:
            ask = partial(claude_code, base, f"to-{target}", folder_of(tmp_path, target))
            first = await told_by_claude_code(ask(QUESTION))
            assert WORD in first["result"]
            again = ("--resume", first["session_id"])
            asked = len(sent_to(provider, target))
            await told_by_claude_code(ask("/compact", *again))
            # It has the model say what the conversation was.
            compacting = sent_to(provider, target)[asked:]
            assert compacting
            assert all("summary" in body for body in compacting)
            last = await told_by_claude_code(ask(QUESTION, *again))
            assert WORD in last["result"]
            lengths[target] = [len(compacting[-1]), len(sent_to(provider, target)[-1])]

        # Claude Code starts three times for each.
        targets = rounds(TARGETS[:1], TARGETS)
        await for_all(talk, targets)
        await gateway.settled()
    assert {record.end_reason for record in gateway.records} == {EndReason.COMPLETE}
    assert lengths.keys() == {*targets}
    assert all(after < before for before, after in lengths.values())


class LongPrompt(ScriptedModel):
    """Says of the first prompt that it was long, so that a client makes room."""

    def __init__(self, folder: Path) -> None:
        super().__init__(choose(folder))
        self._asked: set[str] = set()

    def __call__(self, asked: Asked) -> Script:
        first = asked.target not in self._asked
        self._asked.add(asked.target)
        self.prompt_tokens = 9000 if first else 19
        return super().__call__(asked)


async def test_codex_compacts_and_goes_on(tmp_path: Path) -> None:
    need_node()
    (tmp_path / "note.txt").write_text(WORD + "\n")
    # Codex makes room within a turn as soon as an answer says that the prompt was that long.
    settings = "model_auto_compact_token_limit = 5000\n"
    model = LongPrompt(tmp_path)
    async with serving(model) as provider, in_process(config(provider.port)) as gateway:
        base = f"http://127.0.0.1:{gateway.port}"

        async def talk(target: str) -> None:
            folder = folder_of(tmp_path, target)
            started = codex(base, f"to-{target}", folder, QUESTION, settings=settings)
            assert WORD in await told_by_codex(started)

        targets = rounds(TARGETS[:1], TARGETS)
        await for_all(talk, targets)
        await gateway.settled()
    assert {record.end_reason for record in gateway.records} == {EndReason.COMPLETE}
    for target in targets:
        bodies = sent_to(provider, target)
        assert len(bodies) >= 3
        # One of them asks for what the next is to know.
        assert any("CONTEXT CHECKPOINT COMPACTION" in body for body in bodies), target


class Stalls(ScriptedModel):
    """Begins to answer, and then says nothing more."""

    def __call__(self, asked: Asked) -> Script:
        script = list(super().__call__(asked))
        return [*script[: max(1, len(script) - 3)], (0.0, STALL)]


async def test_a_client_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    need_node()
    model = Stalls(choose(tmp_path))
    async with serving(model) as provider, in_process(config(provider.port)) as gateway:
        base = f"http://127.0.0.1:{gateway.port}"
        begun = 0
        for target in TARGETS:
            for agent in (claude_code, codex):
                folder = folder_of(tmp_path, f"{agent.__name__} {target}")
                await _killed(agent(base, f"to-{target}", folder, QUESTION), provider, gateway)
                begun += 1
        assert len(gateway.records) >= begun
    assert {record.end_reason for record in gateway.records} == {EndReason.CLIENT_GONE}


async def _killed(started: Any, provider: Provider, gateway: InProcess) -> None:
    """Start a client, kill it once its answer has begun, and wait until nothing is left of it."""
    before = len(provider.asked)
    command, env, cwd = started
    # A group of its own: what the client starts goes with it.
    process = await trio.lowlevel.open_process(
        command,
        env=environ(env, cwd),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        await until(lambda: any(each.sent for each in provider.asked[before:]), "an answer", 60)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    with trio.fail_after(10):
        for each in provider.asked[before:]:
            await each.peer_left.wait()
    await gateway.settled()


def test_the_page_says_what_agents_do() -> None:
    """The tests above, and that of two turns, have held every cell of it."""
    held = (
        "two turns with a tool",
        "thinking and reasoning replayed to where it is from",
        "a picture",
        "compaction",
        "killed in the middle: nothing left",
    )
    names = [f"{agent} → {target}" for agent in ("Claude Code", "Codex") for target in TARGETS]
    rows = [[each, *("yes" for _ in names)] for each in held]
    check_table("agents", table(["", *names], rows))


async def test_claude_code_set_up_for_bedrock(tmp_path: Path) -> None:
    """It streams by InvokeModel, with a tool and its result, on Anthropic and on Bedrock."""
    need_node()
    for target in ("messages", "converse"):
        folder = folder_of(tmp_path, target)
        async with (
            serving(AnyModel(choose(folder))) as provider,
            in_process(config(provider.port)) as gateway,
        ):
            base = f"http://127.0.0.1:{gateway.port}"
            started = claude_code_for_bedrock(base, f"to-{target}", folder, QUESTION)
            found = await told_by_claude_code(started)
            assert WORD in found["result"]
            await gateway.settled()
            served = list(gateway.records)
            assert len(served) >= 2
            assert {(each.operation, each.model) for each in served} == {
                ("messages", f"to-{target}")
            }
            assert {each.end_reason for each in served} == {EndReason.COMPLETE}
            assert all(each.stream and each.cost_nano_usd for each in served)
