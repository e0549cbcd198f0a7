"""How the coding agents are started in print mode, and what they answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, NamedTuple

from .world import NODE, run

BIN: Final = NODE / "node_modules" / ".bin"


class Started(NamedTuple):
    """A command, its environment and the folder that it works in."""

    command: list[str]
    env: dict[str, str]
    cwd: Path


def claude_code(base: str, model: str, folder: Path, question: str, *more: str) -> Started:
    """Return how Claude Code is asked something; it may read files of `folder`."""
    home = folder / ".home"
    home.mkdir(exist_ok=True)
    env = {
        "HOME": str(home),
        "ANTHROPIC_BASE_URL": base,
        "ANTHROPIC_AUTH_TOKEN": "sk-any",
        "ANTHROPIC_SMALL_FAST_MODEL": model,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    command = [str(BIN / "claude"), "-p", question, "--model", model]
    command += ["--output-format", "json", "--allowedTools", "Read", *more]
    return Started(command, env, folder)


def claude_code_for_bedrock(base: str, model: str, folder: Path, question: str) -> Started:
    """Return the same set up for Bedrock, whose InvokeModel it asks then."""
    command, env, cwd = claude_code(base, model, folder, question)
    del env["ANTHROPIC_BASE_URL"], env["ANTHROPIC_AUTH_TOKEN"]
    env |= {
        "CLAUDE_CODE_USE_BEDROCK": "1",
        "ANTHROPIC_BEDROCK_BASE_URL": base,
        "AWS_BEARER_TOKEN_BEDROCK": "sk-any",
        "AWS_REGION": "us-east-1",
        # Else it asks for a dozen of Anthropic's models first, to see which there are.
        **{f"ANTHROPIC_DEFAULT_{each}_MODEL": model for each in ("OPUS", "SONNET", "HAIKU")},
    }
    return Started(command, env, cwd)


def codex(
    base: str,
    model: str,
    folder: Path,
    question: str,
    *more: str,
    settings: str = "",
    provider: str = "",
) -> Started:
    """Return how Codex is asked something; it may run commands in `folder`.

    `settings` are of its own table, `provider` of the gateway's in it.
    """
    home = folder / ".home"
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(
        f'model = "{model}"\nmodel_provider = "gateway"\n{settings}[model_providers.gateway]\n'
        f'name = "gateway"\nbase_url = "{base}/v1"\nenv_key = "GATEWAY_KEY"\n'
        'wire_api = "responses"\nrequest_max_retries = 0\nstream_max_retries = 0\n'
        f"{provider}[analytics]\nenabled = false\n"
    )
    env = {"HOME": str(home), "CODEX_HOME": str(home), "GATEWAY_KEY": "sk-any"}
    command = [str(BIN / "codex"), "exec", "--skip-git-repo-check"]
    # The command that is run is the test's own.
    command += ["--dangerously-bypass-approvals-and-sandbox", "--json", *more]
    return Started([*command, "--", question], env, folder)


async def told_by_claude_code(started: Started) -> dict[str, Any]:
    """Return the result that Claude Code writes."""
    found: dict[str, Any] = json.loads(await run(*started))
    assert found["subtype"] == "success", found
    return found


async def told_by_codex(started: Started) -> str:
    """Return the last thing that Codex's model said."""
    lines = (await run(*started)).decode().splitlines()
    items = [event["item"] for line in lines if "item" in (event := json.loads(line))]
    said = [item["text"] for item in items if item["type"] == "agent_message"]
    assert said, lines
    return str(said[-1])


def gemini_cli(base: str, model: str, folder: Path, question: str) -> Started:
    """Return how Gemini CLI is asked something; it may read files of `folder`."""
    home = folder / ".home"
    (home / ".gemini").mkdir(parents=True, exist_ok=True)
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": False},
        "general": {"enableAutoUpdate": False},
    }
    (home / ".gemini" / "settings.json").write_text(json.dumps(settings))
    env = {"HOME": str(home), "GEMINI_API_KEY": "sk-any", "GOOGLE_GEMINI_BASE_URL": base}
    # Else it starts itself once more, with another limit of its memory.
    env["GEMINI_CLI_NO_RELAUNCH"] = "true"
    command = [str(BIN / "gemini"), "-p", question, "-m", model]
    command += ["--approval-mode", "yolo", "--output-format", "json", "--skip-trust"]
    return Started(command, env, folder)


async def told_by_gemini_cli(started: Started) -> str:
    """Return what Gemini CLI answers; what it says before stands there, too."""
    told = (await run(*started)).decode()
    assert "{" in told, told
    return str(json.loads(told[told.index("{") :])["response"])


async def answer_of(client: str, base: str, model: str, folder: Path, question: str) -> str:
    """Return what one of them answers in the end."""
    if client == "codex":
        return await told_by_codex(codex(base, model, folder, question))
    if client == "gemini cli":
        return await told_by_gemini_cli(gemini_cli(base, model, folder, question))
    started = claude_code(base, model, folder, question)
    return str((await told_by_claude_code(started))["result"])
