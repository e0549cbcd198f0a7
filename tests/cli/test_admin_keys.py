"""Keys of the admin API, made and revoked at a terminal, and what they may do."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from gateway.config import load

from ..end_to_end.caller import get
from ..end_to_end.harness import GATEWAY, spawned
from ..end_to_end.store import eventually
from .test_init import gateway

pytestmark = pytest.mark.slow

KEY = re.compile(r"sk-gw-[A-Za-z0-9_-]{43}\n")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(
        '[server]\nbind = "127.0.0.1:0"\n[providers.p]\nkind = "demo"\n'
        '[[models]]\nname = "m"\nroutes = [{ provider = "p", model = "x" }]\n'
        '[[admins]]\nname = "root"\nkey = "a-key-of-roots-own"\n'
    )
    return path


def admin_keys(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return gateway("admin-keys", *arguments, config=config)


def create(config: Path, *arguments: str) -> str:
    found = admin_keys(config, "create", *arguments)
    assert found.returncode == 0, found.stderr
    assert KEY.fullmatch(found.stdout)
    return found.stdout.strip()


def test_a_key_has_the_least_scope_unless_more_is_said_and_only_its_hash_is_kept(
    config: Path,
) -> None:
    secret = create(config, "grafana")
    create(config, "prom", "--scope", "metrics")
    create(config, "bot", "--scope", "operator", "--scope", "metrics")
    written = (config.parent / "tokens.toml").read_text()
    assert secret not in written
    found = {each["name"]: each for each in tomllib.loads(written)["admins"]}
    assert found["grafana"]["scopes"] == ["viewer"]
    assert found["grafana"]["key"].startswith("sha256:")
    assert (config.parent / "tokens.toml").stat().st_mode & 0o777 == 0o600
    listed = json.loads(admin_keys(config, "list", "--json").stdout)
    assert [(each["name"], each["scopes"], Path(each["file"]).name) for each in listed] == [
        ("root", None, "config.toml"),
        ("grafana", ["viewer"], "tokens.toml"),
        ("prom", ["metrics"], "tokens.toml"),
        ("bot", ["operator", "metrics"], "tokens.toml"),
    ]
    shown = admin_keys(config, "list").stdout
    assert "root     everything         " in shown
    assert secret not in shown


def test_what_is_refused_changes_nothing(config: Path) -> None:
    create(config, "grafana")
    before = (config.parent / "tokens.toml").read_text()
    for arguments, words in (
        (("create", "grafana"), "appears twice"),
        (("create", "root"), "appears twice"),
        (("revoke", "root"), "remove its [[admins]] there"),
        (("revoke", "nobody"), "there is no admin key 'nobody'; known admin keys: root, grafana"),
    ):
        found = admin_keys(config, *arguments)
        assert (found.returncode, found.stdout) == (1, "")
        assert words in found.stderr
    assert admin_keys(config, "create", "x", "--scope", "god").returncode != 0
    assert (config.parent / "tokens.toml").read_text() == before


def test_tokens_and_admin_keys_share_the_file(config: Path) -> None:
    token = gateway("tokens", "create", "app", "--budget-usd", "5", config=config)
    assert token.returncode == 0, token.stderr
    create(config, "grafana")
    assert gateway("tokens", "create", "other", config=config).returncode == 0
    found = load.load(config, {})
    assert [each.name for each in found.tokens] == ["app", "other"]
    assert [each.name for each in found.admins] == ["root", "grafana"]
    assert admin_keys(config, "revoke", "grafana").returncode == 0
    assert gateway("tokens", "revoke", "app", config=config).returncode == 0
    found = load.load(config, {})
    assert [each.name for each in found.tokens] == ["other"]
    assert [each.name for each in found.admins] == ["root"]


async def test_a_running_gateway_takes_and_refuses_it_at_once(config: Path) -> None:
    async with spawned(GATEWAY, config) as served:
        key = create(config, "grafana")

        async def status(path: str) -> int:
            return (await get(served.port, path, key=key)).status

        async def is_taken() -> bool:
            return await status("/admin/api/status") == 200

        await eventually(is_taken, "a key that is taken")
        assert await status("/metrics") == 200
        # A viewer's key sees no audit log.
        assert await status("/admin/api/audit") == 403
        assert admin_keys(config, "revoke", "grafana").returncode == 0

        async def is_refused() -> bool:
            return await status("/admin/api/status") == 401

        await eventually(is_refused, "a key that is refused")
