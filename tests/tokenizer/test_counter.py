from __future__ import annotations

import sys
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs

from gateway.providers.facts.encodings import tokenizer_installed
from gateway.tokenizer import counter as module
from gateway.tokenizer.counter import COMMAND, ProcessCounter
from tests.end_to_end.provider import until

# tiktoken, o200k_base and cl100k_base.
KNOWN = [
    ("o200k_base", ["hello world"], 2),
    ("o200k_base", ["hello world", "hello world", ""], 4),
    ("cl100k_base", ["你好,世界"], 6),
    ("o200k_base", ["你好,世界"], 3),
    ("o200k_base", ["\ud800"], 1),
]
# A child that answers what it is sent: how long the first text is; to some words otherwise.
FAKE = """
import json, os, sys, time
for line in sys.stdin:
    number, _, texts = json.loads(line)
    if texts[0] == "die":
        sys.exit(1)
    if texts[0] == "silent":
        continue
    if texts[0] == "nonsense":
        print("[", flush=True)
        continue
    print(f"[{number},{os.getpid() if texts[0] == 'pid' else len(texts[0])}]", flush=True)
"""
FAKED = (sys.executable, "-c", FAKE)


def alive(pid: int | None) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.slow
@pytest.mark.skipif(not tokenizer_installed(), reason="the extra tokens is not installed")
async def test_the_library_counts_as_its_models_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 120.0)
    async with trio.open_nursery() as nursery:
        counter = ProcessCounter(nursery, COMMAND)
        for encoding, texts, tokens in KNOWN:
            assert await counter.count(encoding, texts) == tokens, texts
        nursery.cancel_scope.cancel()


async def test_it_is_one_process_that_ends_with_the_gateway() -> None:
    async with trio.open_nursery() as nursery:
        counter = ProcessCounter(nursery, FAKED)
        pid = await counter.count("e", ["pid"])
        assert pid == await counter.count("e", ["pid"])
        assert alive(pid)
        nursery.cancel_scope.cancel()
    assert not alive(pid)


async def test_many_at_once_get_their_own_counts() -> None:
    found: dict[int, int | None] = {}
    async with trio.open_nursery() as nursery:
        counter = ProcessCounter(nursery, FAKED)

        async def one(size: int) -> None:
            found[size] = await counter.count("e", ["x" * size])

        async with trio.open_nursery() as callers:
            for size in range(30):
                callers.start_soon(one, size)
        nursery.cancel_scope.cancel()
    assert found == {size: size for size in range(30)}


async def test_who_leaves_makes_no_count_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    async with trio.open_nursery() as nursery:
        counter = ProcessCounter(nursery, FAKED)
        pid = await counter.count("e", ["pid"])
        for _ in range(5):
            with trio.CancelScope() as left:
                async with trio.open_nursery() as callers:
                    callers.start_soon(counter.count, "e", ["silent"])
                    callers.start_soon(counter.count, "e", ["a"])
                    await trio.testing.wait_all_tasks_blocked()
                    left.cancel()
            assert await counter.count("e", ["abc"]) == 3
        assert await counter.count("e", ["pid"]) == pid
        nursery.cancel_scope.cancel()


async def test_who_leaves_in_the_middle_of_a_long_text_ends_the_process() -> None:
    silent = (sys.executable, "-c", "import time; time.sleep(1000)")
    async with trio.open_nursery() as nursery:
        counter = ProcessCounter(nursery, silent)
        with trio.CancelScope() as left:
            nursery.start_soon(counter.count, "e", ["a"])
            async with trio.open_nursery() as callers:
                callers.start_soon(counter.count, "e", ["x" * 1_000_000])
                await trio.testing.wait_all_tasks_blocked()
                left.cancel()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("word", ["die", "nonsense"])
async def test_a_process_that_fails_is_replaced(word: str) -> None:
    async with trio.open_nursery() as nursery:
        counter = ProcessCounter(nursery, FAKED)
        assert await counter.count("e", ["abc"]) == 3
        with capture_logs() as logs:
            assert await counter.count("e", [word]) is None
        assert [each["log_level"] for each in logs] == ["warning"]
        assert await counter.count("e", ["abcd"]) == 4
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("command", [("/nowhere/at/all",), (sys.executable, "-c", "")])
async def test_one_that_cannot_be_started_is_not_tried_again_at_once(command: list[str]) -> None:
    async with trio.open_nursery() as nursery:
        counter = ProcessCounter(nursery, command)
        with capture_logs() as logs:
            assert [await counter.count("e", ["abc"]) for _ in range(5)] == [None] * 5
        assert len(logs) == 1
        nursery.cancel_scope.cancel()


async def test_longer_texts_than_any_context_are_not_counted() -> None:
    async with trio.open_nursery() as nursery:
        counter = ProcessCounter(nursery, ("/nowhere",))
        with capture_logs() as logs:
            assert await counter.count("e", ["x" * 5_000_000] * 2) is None
        assert not logs


async def test_one_that_is_not_used_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    async with trio.open_nursery() as nursery:
        counter = ProcessCounter(nursery, FAKED)
        first = await counter.count("e", ["pid"])
        assert counter._child is not None
        process = counter._child._process
        monkeypatch.setattr(process, "_idle", 0.0)
        process.used()
        second = await counter.count("e", ["pid"])
        await until(lambda: not alive(first), "the first process has ended")
        assert alive(second)
        assert second != first
        nursery.cancel_scope.cancel()


async def test_the_process_has_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    says = "import os; n = len(os.environ.get('OPENAI_API_KEY', '')); input(); print(f'[1,{n}]')"
    async with trio.open_nursery() as nursery:
        counter = ProcessCounter(nursery, (sys.executable, "-c", says))
        assert await counter.count("e", ["abc"]) == 0
        nursery.cancel_scope.cancel()
