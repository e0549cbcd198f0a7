"""How a running process goes on with another configuration."""

from __future__ import annotations

from pathlib import Path

import trio

from gateway.config import load
from gateway.config.callers import callers_of
from gateway.config.schema import Config
from gateway.config.snapshot import Snapshot
from gateway.lifecycle import Lifecycle
from gateway.process.components import Components
from gateway.process.local_servers import KEPT
from gateway.process.recording import Recording

NO_RECORDS = '[log]\nrequests = false\n[store]\nurl = ""\n'
FAMILY = '[[models]]\nname = "a/*"\nroutes = [{ provider = "p", model = "*" }]\n'


def config(provider: str) -> Config:
    return load.parse(f"{NO_RECORDS}{FAMILY}[providers.p]\n{provider}", "config.toml", {})


def oauth(secret: str) -> Config:
    return config(
        'kind = "openai"\nbase_url = "http://127.0.0.1:1/v1"\n'
        'oauth = { token_url = "http://127.0.0.1:1/token", client_id = "i", '
        f'client_secret = "{secret}" }}'
    )


def demo(interval: float) -> Config:
    return config(f'kind = "demo"\ntoken_interval = {interval}')


async def after(configs: list[Config], folder: Path, nursery: trio.Nursery) -> list[Snapshot]:
    components = Components(configs[0], Lifecycle(), Recording(configs[0], folder), nursery)
    await components.start()
    taken = []
    for each in configs:
        await components.prepare(each)
        taken.append(components.adopt(each, callers_of(each)))
    return taken


async def test_an_old_snapshot_still_makes_models_after_a_reload(tmp_path: Path) -> None:
    # A request that began before the reload may ask it for a model no request asked for yet.
    async with trio.open_nursery() as nursery:
        old, new = await after([oauth("one"), oauth("two")], tmp_path, nursery)
        before, now = old.models.get("a/b"), new.models.get("a/b")
        assert before is not None
        assert now is not None
        assert before.deployments[0].prepare is not None
        # Another secret is another key: nothing that is known of the first is held against it.
        ids = {each.deployments[0].credentials[0].id for each in (before, now)}
        assert len(ids) == 2
        assert "" not in ids
        nursery.cancel_scope.cancel()


async def test_also_when_its_demo_server_is_gone(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        configs = [demo(number / 100) for number in range(KEPT + 2)]
        old, *_ = await after(configs, tmp_path, nursery)
        assert old.models.get("a/b") is not None
        nursery.cancel_scope.cancel()


def test_a_client_secret_is_not_shown() -> None:
    shown = repr(oauth("hush-hush").providers)
    assert "hush-hush" not in shown
    assert "127.0.0.1:1/token" in shown
