"""Real clients against the running gateway: two turns with a tool, whatever is behind it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from gateway.core.records.record import Record

from ..end_to_end.harness import ROOT, in_process
from ..end_to_end.provider import serving
from .model import ScriptedModel
from .page import check_table, table
from .world import (
    APIS,
    HERE,
    config,
    need_node,
    need_python,
    run_claude_code,
    run_codex,
    run_node,
    run_python,
    targets_of,
)

pytestmark = pytest.mark.slow

WORD: Final = "The word is heron."
QUESTION: Final = "What is the word in note.txt?"
# By client: the API that it asks for by default, or as it is set up here.
NODE_SDKS: Final = {
    "anthropic": "messages",
    "openai chat": "chat",
    "openai responses": "responses",
    "vercel anthropic": "messages",
    "vercel openai": "responses",
    "vercel compatible": "chat",
}
PYTHON_SDKS: Final = {
    "openai-agents": "responses",
    "pydantic-ai openai": "responses",
    "pydantic-ai chat": "chat",
    "pydantic-ai anthropic": "messages",
    "langchain openai": "chat",
    "langchain anthropic": "messages",
}
AGENTS: Final = {"claude code": "messages", "codex": "responses"}
# How the page calls them, and where their versions stand.
NAMES: Final = {
    "claude code": ("Claude Code", "@anthropic-ai/claude-code"),
    "codex": ("Codex", "@openai/codex"),
    "anthropic": ("Anthropic SDK for Node", "@anthropic-ai/sdk"),
    "openai chat": ("OpenAI SDK for Node, chat", "openai"),
    "openai responses": ("OpenAI SDK for Node, Responses", "openai"),
    "vercel anthropic": ("Vercel AI SDK, Anthropic", "@ai-sdk/anthropic"),
    "vercel openai": ("Vercel AI SDK, OpenAI (default)", "@ai-sdk/openai"),
    "vercel compatible": ("Vercel AI SDK, OpenAI-compatible", "@ai-sdk/openai-compatible"),
    "openai-agents": ("openai-agents (default)", "openai-agents"),
    "pydantic-ai openai": ("pydantic-ai, OpenAI (default)", "pydantic-ai-slim"),
    "pydantic-ai chat": ("pydantic-ai, chat", "pydantic-ai-slim"),
    "pydantic-ai anthropic": ("pydantic-ai, Anthropic", "pydantic-ai-slim"),
    "langchain openai": ("LangChain, OpenAI (default)", "langchain-openai"),
    "langchain anthropic": ("LangChain, Anthropic", "langchain-anthropic"),
}


def choose(folder: Path) -> Callable[[list[str]], tuple[str, dict[str, Any]] | None]:
    """Return what chooses among the tools of any of them."""
    note = str(folder / "note.txt")
    calls: dict[str, dict[str, Any]] = {
        "weather": {"city": "Oslo"},
        "Read": {"file_path": note},  # Claude Code's
        "exec_command": {"cmd": f"cat {note}"},  # Codex's
    }
    return lambda names: next(((each, calls[each]) for each in names if each in calls), None)


def pairs(clients: dict[str, str]) -> list[tuple[str, str]]:
    return [(client, target) for client, api in clients.items() for target in targets_of(api)]


async def works_through(
    tmp_path: Path, run: Callable[[str, list[tuple[str, str]]], Awaitable[list[str]]],
    clients: dict[str, str], expected: str,
) -> list[Record]:  # fmt: skip
    """Run `clients` over all targets; hold that each has told what its tool came to."""
    (tmp_path / "note.txt").write_text(WORD + "\n")
    asked = pairs(clients)
    model = ScriptedModel(choose(tmp_path))
    # Codex offers tools that only OpenAI has, and Vercel's SDK refers to responses that are kept.
    async with serving(model) as provider:
        made = config(provider.port, unsupported="drop", store=tmp_path)
        async with in_process(made) as gateway:
            said = await run(f"http://127.0.0.1:{gateway.port}", asked)
            await gateway.settled()
            records = list(gateway.records)
    wrong = [(*pair, text) for pair, text in zip(asked, said, strict=True) if expected not in text]
    assert not wrong
    assert {record.end_reason.value for record in records} == {"complete"}
    # Two turns each, all of them at a known cost, and nothing else was asked for.
    assert len(records) == 2 * len(asked)
    assert all(record.cost_nano_usd for record in records)
    assert not [record for record in records if record.dropped and same_api(record)]
    return records


def same_api(record: Record) -> bool:
    return record.model == f"to-{record.operation}"


def told(seen: list[dict[str, Any]]) -> list[str]:
    return [
        each["error"]
        if "error" in each
        else each["text"] if each["call"] == ["weather", {"city": "Oslo"}] else str(each)
        for each in seen
    ]  # fmt: skip


def with_models(asked: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(client, f"to-{target}") for client, target in asked]


async def test_the_sdks_of_node(tmp_path: Path) -> None:
    need_node()

    async def run(base: str, asked: list[tuple[str, str]]) -> list[str]:
        return told(await run_node(base, with_models(asked)))

    await works_through(tmp_path, run, NODE_SDKS, "The tool says: 22 degrees in Oslo")


async def test_the_clients_of_python(tmp_path: Path) -> None:
    need_python()

    async def run(base: str, asked: list[tuple[str, str]]) -> list[str]:
        return told(await run_python(base, with_models(asked)))

    await works_through(tmp_path, run, PYTHON_SDKS, "The tool says: 22 degrees in Oslo")


async def test_claude_code_and_codex(tmp_path: Path) -> None:
    need_node()

    async def run(base: str, asked: list[tuple[str, str]]) -> list[str]:
        said: dict[tuple[str, str], str] = {}

        async def one(client: str, target: str) -> None:
            folder = tmp_path / f"{client}-{target}".replace(" ", "-")
            folder.mkdir()
            work = run_claude_code if client == "claude code" else run_codex
            said[client, target] = await work(base, f"to-{target}", folder, QUESTION)

        async with trio.open_nursery() as nursery:
            for pair in asked:
                nursery.start_soon(partial(one, *pair))
        return [said[pair] for pair in asked]

    records = await works_through(tmp_path, run, AGENTS, WORD)
    assert {record.operation for record in records} == {"messages", "responses"}


def test_the_page_says_what_works() -> None:
    """The tests above have held every cell of it."""
    versions = _versions()
    rows = []
    for client, api in (AGENTS | NODE_SDKS | PYTHON_SDKS).items():
        name, package = NAMES[client]
        cells = ["works" if target in targets_of(api) else "no" for target in APIS.values()]
        rows.append([name, versions[package], api, *cells])
    check_table("clients", table(["client", "version", "asks for", *APIS.values()], rows))


def _versions() -> dict[str, str]:
    found: dict[str, str] = json.loads((HERE / "node" / "package.json").read_text())["dependencies"]
    lines = (ROOT / "requirements" / "clients.txt").read_text().splitlines()
    pinned = (line.split(" ")[0].partition("==") for line in lines if "==" in line)
    # What both have is pinned by Node's file: the SDKs' own names there.
    return {name: version for name, _, version in pinned} | found
