from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from gateway.cli.moments import time_to_come as _time
from gateway.config import load
from gateway.core.aws_signature import secret_of
from tests.late import openai

from ...end_to_end.harness import GATEWAY, PATIENCE, ROOT, Served, spawned
from ...fork_server import popen
from ..test_init import gateway, outcome

pytestmark = pytest.mark.slow

KEY: Final = re.compile(r"sk-gw-[A-Za-z0-9_-]{43}\n")
MAIN: Final = '[[tokens]]\nname = "main"\nkey = "a-key-of-its-own"\n'


def not_running(config: Path) -> str:
    """Return what is said when no gateway could be told."""
    return (
        f"takes effect at the next start: no gateway is running on {config}, or none with the pid"
        f" file {config.parent / 'gateway.pid'}; one that was started with another, or without,"
        " wants a SIGHUP or a restart\n"
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(
        '[server]\nbind = "127.0.0.1:0"\n'
        '[providers.p]\nkind = "demo"\ntoken_interval = 0\n'
        '[[models]]\nname = "m"\nroutes = [{ provider = "p", model = "x" }]\n'
        '[[models]]\nname = "n"\nalias = "m"\n'
    )
    return path


def tokens(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return gateway("tokens", *arguments, config=config)


def create(config: Path, *arguments: str) -> str:
    found = tokens(config, "create", *arguments)
    assert found.returncode == 0, found.stderr
    return found.stdout.removesuffix("\n")


def stored(config: Path) -> list[dict[str, Any]]:
    tree = tomllib.loads(config.with_name("tokens.toml").read_text())
    return list(tree.get("tokens", []))


# Making...


def test_create_prints_the_key_and_nothing_else_and_stores_its_hash(config: Path) -> None:
    status, out, err = outcome(tokens(config, "create", "a"))
    assert status == 0
    assert KEY.fullmatch(out)
    digest = hashlib.sha256(out.strip().encode()).hexdigest()
    assert stored(config) == [{"name": "a", "key": f"sha256:{digest}"}]
    beside = config.with_name("tokens.toml")
    assert err == (
        f"'a' is added to {beside}; its key is shown this once and not stored\n"
        "until now the gateway was open to everyone; from now on it wants a key\n"
        + not_running(config)
    )
    again = tokens(config, "create", "b")
    assert again.stdout != out
    assert "open to everyone" not in again.stderr


def test_create_makes_a_pair_for_amazons_sdks(config: Path) -> None:
    refused = tokens(config, "create", "a", "--aws")
    assert refused.returncode == 1
    assert "openssl rand -hex 32" in refused.stderr
    assert refused.stdout == ""
    assert not config.with_name("tokens.toml").exists()
    root = "0123456789abcdef" * 2
    config.write_text(
        config.read_text().replace("[server]\n", f'[server]\naws_secret = "{root}"\n')
    )
    key, first, second = create(config, "a", "--aws").splitlines()
    assert KEY.fullmatch(f"{key}\n")
    key_id = first.removeprefix("AWS_ACCESS_KEY_ID=")
    assert re.fullmatch("GWAK[A-Z0-9]{16}", key_id)
    assert second == f"AWS_SECRET_ACCESS_KEY={secret_of(root, key_id)}"
    assert stored(config)[0]["aws_access_key_id"] == key_id
    shown = tokens(config, "list", "--json")
    assert json.loads(shown.stdout)[0]["aws_access_key_id"] == key_id
    assert secret_of(root, key_id) not in config.with_name("tokens.toml").read_text() + shown.stdout


def test_create_writes_down_every_limit(config: Path) -> None:
    limits = (
        *("--models", "m, n", "--model", "m", "--rpm", "3", "--tpm", "4000"),
        *("--max-concurrent", "5", "--budget-usd", "1.5", "--budget-window", "week"),
        *("--expires", "2997-01-01T01:00:00+01:00"),
    )
    create(config, "a", *limits)
    create(config, "b", "--budget-usd", "2", "--model", "n", "--expires", "90d")
    made, other = load.load(config).tokens
    assert made.models == ("m", "n", "m")
    assert (made.rpm, made.tpm, made.max_concurrent) == (3, 4000, 5)
    assert made.budget is not None
    assert (made.budget.usd, made.budget.window) == (1.5, "week")
    assert made.expires_at == datetime(2997, 1, 1, tzinfo=UTC)
    assert other.models == ("n",)
    assert other.budget is not None
    assert (other.budget.usd, other.budget.window) == (2, "month")
    assert other.expires_at is not None
    assert 89 <= (other.expires_at - datetime.now(UTC)).days <= 90


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["a", "--rpm", "0"], 1, "tokens.toml: [[tokens]] 'a' rpm: expected a whole number >= 1"),
        (["a", "--models", "x"], 1, "[[tokens]] 'a' models: there is no model 'x'"),
        (["main"], 1, "[[tokens]] 'main' name: "),
        (["a", "--budget-usd", "-1"], 1, "[[tokens]] 'a' budget.usd: expected a number > 0"),
        (["a", "--budget-usd", "nan"], 1, "[[tokens]] 'a' budget.usd: expected a number > 0"),
        (["a", "--budget-window", "day"], 2, "--budget-window needs --budget-usd"),
        (["a", "--models", ""], 2, "--models has an empty name"),
        (["a", "--models", "m,,n"], 2, "--models has an empty name"),
        (["a", "--expires", "tomorrow"], 2, "--expires must be a time to come"),
        (["a", "--expires", "2001-01-01T00:00:00Z"], 2, "--expires must be a time to come"),
        (["a", "--budget-usd", "1", "--budget-window", "year"], 2, "year"),
        (["a", "--rpm", "many"], 2, "many"),
        ([], 2, "NAME"),
    ],
)
def test_create_refuses_what_makes_no_sense(
    config: Path, arguments: list[str], status: int, says: str
) -> None:
    config.write_text(config.read_text() + MAIN)
    found = tokens(config, "create", *arguments)
    assert (found.returncode, found.stdout) == (status, "")
    assert says in found.stderr
    assert not config.with_name("tokens.toml").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90d", datetime(2026, 4, 1, 12, tzinfo=UTC)),
        ("12h", datetime(2026, 1, 2, tzinfo=UTC)),
        ("2w", datetime(2026, 1, 15, 12, tzinfo=UTC)),
        ("2027-01-01T00:00:00Z", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2027-01-01T02:00:00+02:00", datetime(2027, 1, 1, tzinfo=UTC)),
        *((text, None) for text in ("", "0d", "-1d", "1m", "1.5d", "999999w", "2027-13-01")),
        # Whose midnight?
        *((text, None) for text in ("2027-01-01", "2027-01-01T00:00:00")),
        ("2026-01-01T12:00:00Z", None),
    ],
)
def test_when_a_token_expires(text: str, expected: datetime | None) -> None:
    assert _time(text, datetime(2026, 1, 1, 12, tzinfo=UTC)) == expected


def test_a_key_that_cannot_be_shown_is_an_error(config: Path) -> None:
    with Path("/dev/full").open("w") as full:
        found = popen.run(
            [sys.executable, "-m", "gateway", "tokens", "create", "a", "-c", str(config)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    assert found.returncode == 1
    assert "error: the key could not be shown: No space left on device; revoke 'a'" in found.stderr
    assert "Traceback" not in found.stderr
    assert [each["name"] for each in stored(config)] == ["a"]


def test_tokens_made_at_once_are_all_there(config: Path) -> None:
    config.with_name("tokens.toml").write_text("# mine\n")
    command = [sys.executable, "-m", "gateway", "tokens", "create", "-c", str(config)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = [
        popen.Popen(
            [*command, f"t{number}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
        )
        for number in range(8)
    ]
    said = [process.communicate(timeout=50) for process in processes]
    assert [process.returncode for process in processes] == [0] * 8, said
    assert config.with_name("tokens.toml").read_text().startswith("# mine\n\n[[tokens]]\n")
    made = {token.name: token.key for token in load.load(config).tokens}
    digests = [f"sha256:{hashlib.sha256(out.strip()).hexdigest()}" for out, _ in said]
    assert made == {f"t{number}": digest for number, digest in enumerate(digests)}
    first = [b"until now the gateway was open" in err for _, err in said]
    assert sum(first) == 1
    files = ["config.toml", "gateway.journal", "tokens.toml"]
    assert sorted(os.listdir(config.parent)) == files
    # What was done waits for a gateway to put it on record.
    assert len(list(config.with_name("gateway.journal").glob("*.journal"))) == 8


# Listing...


def test_list_says_everything_but_keys(config: Path) -> None:
    config.write_text(config.read_text() + MAIN)
    key = create(config, "a", "--model", "m", "--rpm", "3", "--tpm", "4", "--max-concurrent", "5")
    create(config, "b", "--budget-usd", "1.5", "--expires", "2997-01-01T00:00:00Z")
    status, out, err = outcome(tokens(config, "list"))
    assert (status, err) == (0, "")
    beside = config.with_name("tokens.toml")
    assert [re.split("  +", line) for line in out.splitlines()] == [
        ["name", "models", "limits", "budget", "expires", "file"],
        ["main", "*", "-", "-", "never", str(config)],
        ["a", "m", "3 rpm, 4 tpm, 5 concurrent", "-", "never", str(beside)],
        ["b", "*", "-", "1.5 USD a month", "2997-01-01T00:00:00+00:00", str(beside)],
    ]
    shown = json.loads(tokens(config, "list", "--json").stdout)
    assert shown[2] == {
        "name": "b",
        "models": ["*"],
        "rpm": None,
        "tpm": None,
        "max_concurrent": None,
        "budget": {"usd": 1.5, "window": "month"},
        "aws_access_key_id": None,
        "expires_at": "2997-01-01T00:00:00Z",
        "overrides": [],
        "passthrough": [],
        "file": str(beside),
    }
    assert [each["file"] for each in shown] == [str(config), str(beside), str(beside)]
    for secret in (key, stored(config)[0]["key"].removeprefix("sha256:"), "a-key-of-its-own"):
        assert secret not in out
        assert secret not in json.dumps(shown)


def test_list_on_a_terminal_is_a_table(config: Path) -> None:
    create(config, "[red]a\x1b[31m")
    ours, theirs = pty.openpty()
    try:
        popen.run(
            [sys.executable, "-m", "gateway", "tokens", "list", "-c", str(config)],
            stdout=theirs,
            timeout=30,
            check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "200"},
        )
        out = os.read(ours, 1 << 16).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "┃" in out
    assert "[red]a\\x1b[31m" in out


def test_list_of_no_tokens_and_of_an_invalid_file(config: Path) -> None:
    said = "there are no tokens: the gateway is open to everyone\n"
    assert outcome(tokens(config, "list")) == (0, "", said)
    assert outcome(tokens(config, "list", "--json")) == (0, "[]\n", "")
    config.write_text("[[tokens]]\nname = 1\n")
    found = tokens(config, "list")
    assert (found.returncode, found.stdout) == (1, "")
    for problem in found.stderr.splitlines():
        assert problem in gateway("check", str(config)).stderr.splitlines()


def test_list_does_not_mind_what_else_is_wrong(config: Path) -> None:
    config.write_text("[log]\nlevel = 1\n" + MAIN.replace("a-key-of-its-own", "${NOT_SET_HERE}"))
    found = tokens(config, "list")
    assert found.returncode == 0
    assert "main" in found.stdout
    assert "NOT_SET_HERE" not in found.stdout


def test_a_token_is_made_and_revoked_without_the_environment_of_the_gateway(config: Path) -> None:
    config.write_text(config.read_text() + '[providers.q]\nkind = "demo"\napi_key = "${NOT_SET}"\n')
    create(config, "a", "--models", "m")
    assert [table["name"] for table in stored(config)] == ["a"]
    # What can be known without it is checked all the same.
    refused = tokens(config, "create", "b", "--models", "nosuch")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "there is no model 'nosuch'" in refused.stderr
    config.write_text(config.read_text().replace("[server]\n", "[server]\nopen = true\n"))
    assert tokens(config, "revoke", "a", "--open").returncode == 0
    assert stored(config) == []


def test_list_marks_what_has_expired(config: Path) -> None:
    config.write_text(f"{config.read_text()}{MAIN}expires_at = 2001-01-01T00:00:00Z\n")
    assert "2001-01-01T00:00:00+00:00 (expired)" in tokens(config, "list").stdout


# Revoking...


def test_revoke_removes_the_entry(config: Path) -> None:
    config.write_text(config.read_text() + MAIN)
    create(config, "a")
    create(config, "b")
    beside = config.with_name("tokens.toml")
    said = f"'a' is removed from {beside}\n{not_running(config)}"
    assert outcome(tokens(config, "revoke", "a")) == (0, "", said)
    assert [each["name"] for each in stored(config)] == ["b"]
    status, out, err = outcome(tokens(config, "revoke", "a"))
    assert (status, out) == (1, "")
    assert err == "error: there is no token 'a'; known tokens: main, b\n"
    status, out, err = outcome(tokens(config, "revoke", "main"))
    assert (status, out) == (1, "")
    assert err.startswith(f"error: 'main' stands in {config}, which is yours to edit: ")
    assert MAIN in config.read_text()


def test_revoke_of_the_last_token_must_be_meant(config: Path) -> None:
    create(config, "a")
    status, out, err = outcome(tokens(config, "revoke", "a"))
    assert (status, out) == (1, "")
    assert "'a' is the only token" in err
    assert "--open" in err
    # A running gateway would refuse to be opened by a file that does not say so.
    status, _, err = outcome(tokens(config, "revoke", "a", "--open"))
    assert status == 1
    assert "open = true in [server]" in err
    assert len(stored(config)) == 1
    config.write_text(config.read_text().replace("[server]\n", "[server]\nopen = true\n"))
    status, out, err = outcome(tokens(config, "revoke", "a", "--open"))
    assert (status, out) == (0, "")
    assert "warning: that was the only token; the gateway is now open to everyone\n" in err
    assert stored(config) == []


def test_revoke_works_on_an_invalid_configuration_but_says_so(config: Path) -> None:
    config.write_text(config.read_text() + MAIN)
    create(config, "a")
    config.write_text(config.read_text() + '[providers.q]\nkind = "openai"\n')
    status, out, err = outcome(tokens(config, "revoke", "a"))
    assert (status, out) == (1, "")
    assert "[providers.q] base_url: " in err
    assert "a running gateway may refuse this configuration, and then still accepts the key" in err
    assert stored(config) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], ["create", "list", "revoke"]),
        (["create"], ["NAME", "--models", "--budget-window", "--expires", "GATEWAY_CONFIG"]),
        (["list"], ["--json", "--config"]),
        (["revoke"], ["NAME", "--open", "--config"]),
    ],
)
def test_help(arguments: list[str], says: list[str]) -> None:
    status, out, err = outcome(gateway("tokens", *arguments, "--help"))
    assert (status, err) == (0, "")
    assert all(word in out for word in says)
    assert "--no-" not in out


# With a gateway that runs...


async def run(config: Path, *arguments: str) -> str:
    found = await trio.to_thread.run_sync(tokens, config, *arguments)
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


async def answers(served: Served, key: str) -> bool:
    """Say whether the gateway lets a call with `key` through."""

    def call() -> bool:
        with openai.OpenAI(base_url=served.url, api_key=key, max_retries=0) as client:
            try:
                messages: Any = [{"role": "user", "content": "Hi"}]
                found = client.chat.completions.create(model="m", messages=messages)
            except openai.AuthenticationError:
                return False
        assert found.choices[0].message.content
        return True

    return await trio.to_thread.run_sync(call)


async def becomes(served: Served, key: str, expected: bool) -> None:
    with trio.fail_after(PATIENCE):
        while await answers(served, key) is not expected:  # noqa: ASYNC110  # another process
            await trio.sleep(0.05)


@pytest.mark.parametrize("more", [(), ("--workers", "2")], ids=["one", "workers"])
async def test_a_running_gateway_takes_and_refuses_keys(config: Path, more: Sequence[str]) -> None:
    async with spawned([*GATEWAY, *more], config) as served:
        assert await answers(served, "anything")
        kept = await run(config, "create", "kept")
        await becomes(served, "anything", False)
        await becomes(served, kept, True)
        lost = await run(config, "create", "lost")
        await becomes(served, lost, True)
        await run(config, "revoke", "lost")
        await becomes(served, lost, False)
        assert await answers(served, kept)
        assert lost.encode() not in served.said + served.lines
        served.terminate()
        assert await served.exit_status() == 0
