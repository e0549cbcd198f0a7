"""Real clients against the running gateway: two turns with a tool, whatever is behind it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from gateway.core.records.record import Record

from ..end_to_end.harness import ROOT, in_process
from ..end_to_end.provider import Asked, serving
from ..rounds import rounds
from .any_model import AnyModel
from .coding_agents import answer_of
from .model import ENCRYPTED, SIGNATURE, THOUGHT
from .page import check_table, table
from .world import (
    APIS,
    HERE,
    config,
    need_node,
    need_python,
    run_node,
    run_python,
    run_vendors,
    targets_of,
)

pytestmark = pytest.mark.slow

WORD: Final = "The word is heron."
QUESTION: Final = "What is the word in note.txt?"
# By client: the API that it asks for by default, or as it is set up here.
NODE_SDKS: Final = {
    "anthropic": "messages",
    "google genai": "gemini",
    "openai chat": "chat",
    "openai responses": "responses",
    "vercel anthropic": "messages",
    "vercel openai": "responses",
    "vercel compatible": "chat",
    "bedrock": "converse",
    "cohere": "cohere",
    "ollama": "ollama",
}
PYTHON_SDKS: Final = {
    "openai-agents": "responses",
    "pydantic-ai openai": "responses",
    "pydantic-ai chat": "chat",
    "pydantic-ai anthropic": "messages",
    "langchain openai": "chat",
    "langchain anthropic": "messages",
    "google-genai": "gemini",
    "google-genai async": "gemini",
}
VENDORS: Final = {
    "boto3": "converse",
    "boto3 stream": "converse",
    "cohere python": "cohere",
    "cohere async": "cohere",
    "ollama python": "ollama",
    "ollama async": "ollama",
}
AGENTS: Final = {"claude code": "messages", "codex": "responses", "gemini cli": "gemini"}
# An agent takes a second or two of a processor for each target, Codex half a second. In every run
# each of the first three APIs is asked by two of them, and each other but Gemini's, which Google's
# SDKs ask, by one; SDKs of each API ask all. All pairs are walked through in a soak.
OFTEN: Final = {
    "claude code": ("messages", "chat"),
    "codex": ("responses", "messages", "chat", "converse", "cohere", "ollama"),
    "gemini cli": ("responses",),
}
# How the page calls them, and where their versions stand.
NAMES: Final = {
    "claude code": ("Claude Code", "@anthropic-ai/claude-code"),
    "codex": ("Codex", "@openai/codex"),
    "gemini cli": ("Gemini CLI", "@google/gemini-cli"),
    "anthropic": ("Anthropic SDK for Node", "@anthropic-ai/sdk"),
    "google genai": ("Google Gen AI SDK for Node", "@google/genai"),
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
    "google-genai": ("google-genai", "google-genai"),
    "google-genai async": ("google-genai, async", "google-genai"),
    "bedrock": ("AWS SDK for JavaScript, Bedrock Runtime", "@aws-sdk/client-bedrock-runtime"),
    "cohere": ("Cohere SDK for Node", "cohere-ai"),
    "ollama": ("Ollama SDK for Node", "ollama"),
    "boto3": ("boto3", "boto3"),
    "boto3 stream": ("boto3, streamed", "boto3"),
    "cohere python": ("Cohere SDK for Python, streamed", "cohere"),
    "cohere async": ("Cohere SDK for Python, async", "cohere"),
    "ollama python": ("Ollama SDK for Python, streamed", "ollama"),
    "ollama async": ("Ollama SDK for Python, async", "ollama"),
}


def choose(folder: Path) -> Callable[[list[str]], tuple[str, dict[str, Any]] | None]:
    """Return what chooses among the tools of any of them."""
    note = str(folder / "note.txt")
    calls: dict[str, dict[str, Any]] = {
        "weather": {"city": "Oslo"},
        "Read": {"file_path": note},  # Claude Code's
        "exec_command": {"cmd": f"cat {note}"},  # Codex's
        "read_file": {"file_path": "note.txt"},  # Gemini CLI's, within its folder
    }
    return lambda names: next(((each, calls[each]) for each in names if each in calls), None)


def pairs(clients: dict[str, str]) -> list[tuple[str, str]]:
    return [(client, target) for client, api in clients.items() for target in targets_of(api)]


async def works_through(
    tmp_path: Path, run: Callable[[str, list[tuple[str, str]]], Awaitable[list[str]]],
    asked: list[tuple[str, str]], expected: str, *, run_replays: bool = False,
) -> list[Record]:  # fmt: skip
    """Run pairs of a client and a target; hold that each has told what its tool came to."""
    (tmp_path / "note.txt").write_text(WORD + "\n")
    model = AnyModel(choose(tmp_path))
    # Vercel's SDK refers to responses that are kept.
    async with serving(model) as provider:
        made = config(provider.port, store=tmp_path)
        async with in_process(made) as gateway:
            said = await run(f"http://127.0.0.1:{gateway.port}", asked)
            await gateway.settled()
            records = list(gateway.records)
        if run_replays:
            _hold_replay(provider.asked)
    wrong = [(*pair, text) for pair, text in zip(asked, said, strict=True) if expected not in text]
    assert not wrong
    assert {record.end_reason.value for record in records} == {"complete"}
    # Two turns each, all of them at a known cost, and nothing else was asked for.
    assert len(records) == 2 * len(asked)
    assert all(record.cost_nano_usd for record in records)
    assert not [record for record in records if record.dropped and same_api(record)]
    return records


def _hold_replay(asked: list[Asked]) -> None:
    """Hold that each provider with state of its own got it back, and no other provider's."""
    for api, state, other in (
        ("messages", SIGNATURE, ENCRYPTED),
        ("responses", ENCRYPTED, SIGNATURE),
    ):
        bodies = [
            json.dumps(each.json) for each in asked if each.target.split("?")[0].endswith(api)
        ]
        # Two agents at the least, of whose two turns the second brings it.
        assert sum(f'"{state}"' in body for body in bodies) >= 2
        assert not any(other in body or "GATEWAY~STATE" in body for body in bodies)
    chats = [json.dumps(each.json) for each in asked if each.target.endswith("completions")]
    assert chats
    assert not any("GATEWAY~STATE" in body for body in chats)
    # A chat's reasoning goes back to it as text.
    assert sum(f'"reasoning_content": "{THOUGHT}"' in body for body in chats) >= 2


def same_api(record: Record) -> bool:
    names = {"generate_content": "gemini"}
    return record.model == f"to-{names.get(record.operation, record.operation)}"


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

    await works_through(tmp_path, run, pairs(NODE_SDKS), "The tool says: 22 degrees in Oslo")


async def test_the_clients_of_python(tmp_path: Path) -> None:
    need_python()

    async def run(base: str, asked: list[tuple[str, str]]) -> list[str]:
        return told(await run_python(base, with_models(asked)))

    # Google's SDK hands a result on within an object.
    await works_through(tmp_path, run, pairs(PYTHON_SDKS), "22 degrees in Oslo")


async def test_the_sdks_of_other_vendors(tmp_path: Path) -> None:
    need_python()

    async def run(base: str, asked: list[tuple[str, str]]) -> list[str]:
        return told(await run_vendors(base, with_models(asked)))

    await works_through(tmp_path, run, pairs(VENDORS), "22 degrees in Oslo")


async def test_what_else_they_are_used_for(tmp_path: Path) -> None:
    """Pictures, schemas, prompts, documents, lists of models, errors."""
    need_python()
    asked = [
        (client, f"to-{target}")
        for client, api in (("cohere, more", "cohere"), ("ollama, more", "ollama"))
        for target in targets_of(api)
    ]
    model = AnyModel(lambda _: None)
    async with serving(model) as provider, in_process(config(provider.port)) as gateway:
        seen = await run_vendors(f"http://127.0.0.1:{gateway.port}", asked)
    wrong = [(*pair, each) for pair, each in zip(asked, seen, strict=True) if "error" in each]
    assert not wrong
    assert {each["text"] for each in seen} == {"I will look."}


async def test_the_agents(tmp_path: Path) -> None:
    need_node()

    async def run(base: str, asked: list[tuple[str, str]]) -> list[str]:
        said: dict[tuple[str, str], str] = {}

        async def one(client: str, target: str) -> None:
            folder = tmp_path / f"{client}-{target}".replace(" ", "-")
            folder.mkdir()
            shutil.copy(tmp_path / "note.txt", folder)
            model = f"to-{target}"
            said[client, target] = await answer_of(client, base, model, folder, QUESTION)

        async with trio.open_nursery() as nursery:
            for pair in asked:
                nursery.start_soon(partial(one, *pair))
        return [said[pair] for pair in asked]

    often = [(client, target) for client, targets in OFTEN.items() for target in targets]
    asked = rounds(often, pairs(AGENTS))
    records = await works_through(tmp_path, run, asked, WORD, run_replays=True)
    operations = {"messages", "responses", "generate_content"}
    assert {record.operation for record in records} == operations


def test_the_page_says_what_works() -> None:
    """The tests above have held every cell of it, some of the agents' only in a soak."""
    versions = _versions()
    rows = []
    for client, api in (AGENTS | NODE_SDKS | PYTHON_SDKS | VENDORS).items():
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
