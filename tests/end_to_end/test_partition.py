"""Two hosts that share a state server and a database, and a cut between one of them and those."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
import trio

from ..valkey import ValkeyServer
from .caller import ask, calling, chat_body, get
from .harness import Served, config, spawned
from .hosts import Host, missing, passed_on, two_hosts
from .provider import Asked, Provider, serving, speaking, until
from .store import Kept, eventually
from .test_in_flight import stuck
from .wire import Script

pytestmark = pytest.mark.slow

Write = Callable[[str], Path]
RPM = 30
# Of these, so many are asked for before the cut.
EARLY = 20
# Of each request here: 19 tokens at 1 and 10 at 2 dollars a million.
COST = 0.000039
PAID_FOR = 30
KEYS = f"""
[[admins]]
name = "ops"
key = "sk-admin-0123456789abcdef"
[[tokens]]
name = "rate"
key = "sk-rate-of-the-tests"
models = ["*"]
rpm = {RPM}
[[tokens]]
name = "places"
key = "sk-places-of-the-tests"
models = ["*"]
max_concurrent = 2
[[tokens]]
name = "money"
key = "sk-money-of-the-tests"
models = ["*"]
budget = {{ usd = {COST * PAID_FOR:.6f}, window = "month" }}
"""
ADMIN = "sk-admin-0123456789abcdef"
PATIENCE = 90.0


@dataclass
class Site:
    """A gateway on a host."""

    host: Host
    served: Served

    async def statuses(self, key: str, many: int) -> Counter[int]:
        found: Counter[int] = Counter()
        for _ in range(many):
            found[await self.status(key)] += 1
        return found

    async def status(self, key: str) -> int:
        reply = await ask(self.served.port, key=key, host=self.host.address, max_tokens=10)
        return reply.status

    async def said(self, words: str, times: int = 1) -> None:
        await until(lambda: self.served.said.decode().count(words) >= times, words, PATIENCE)


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host]]:
    if reason := missing():
        pytest.skip(reason)
    with two_hosts() as found:
        yield found


@asynccontextmanager
async def sites(
    hosts: tuple[Host, Host], write: Write, valkey: ValkeyServer, kept: Kept
) -> AsyncIterator[tuple[Site, Site, Provider]]:
    """Run a gateway on each host; state server, database and provider are on the third."""

    def answer(asked: Asked) -> Script:
        return stuck(asked) if asked.json.get("stream") else speaking(asked)

    async with serving(answer) as provider:
        port = int(kept.url.rpartition(":")[2].partition("/")[0])
        routes = [(host.callers, provider.port) for host in hosts]
        routes += [(host.states, each) for host in hosts for each in (valkey.port, port)]
        async with passed_on(routes):
            files = []
            for host in hosts:
                text = config(
                    provider.port, store=kept.store, tokens=KEYS, provider="allow_http = true"
                )
                text += f'[state]\nurl = "redis://{host.states}:{valkey.port}"\n'
                text = text.replace('"127.0.0.1:0"', f'"{host.address}:0"')
                text = text.replace(f"127.0.0.1:{provider.port}", f"{host.callers}:{provider.port}")
                text = text.replace(f"127.0.0.1:{port}", f"{host.states}:{port}")
                folder = write("").parent / host.name
                folder.mkdir()
                files.append(folder / "config.toml")
                files[-1].write_text(text)
            first, second = hosts
            async with (
                spawned(first.command(["serve"]), files[0]) as one,
                spawned(second.command(["serve"]), files[1]) as two,
            ):
                here, there = Site(first, one), Site(second, two)
                for site in (here, there):
                    await site.said("limits are shared")
                yield here, there, provider


async def test_a_host_is_cut_off_and_comes_back(
    hosts: tuple[Host, Host], write: Write, valkey: ValkeyServer, on_postgresql: Kept
) -> None:
    async with sites(hosts, write, valkey, on_postgresql) as (here, there, _):
        answered = 0
        # As one: a rate, places and money are shared.
        rate = "sk-rate-of-the-tests"
        began = time.monotonic()
        both = await here.statuses(rate, EARLY // 2) + await there.statuses(rate, EARLY // 2)
        assert both == {200: EARLY}
        money = "sk-money-of-the-tests"
        spent = await here.statuses(money, 6) + await there.statuses(money, 6)
        assert spent == {200: 12}
        answered += EARLY + 12

        async with calling(there.served.port, host=there.host.address) as streaming:
            places = "sk-places-of-the-tests"
            await streaming.post(chat_body(stream=True), key=places)
            await streaming.head()
            request_id = streaming.headers["x-request-id"]

            async def listed() -> bool:
                """Whether the other host shows it, by what its process has said."""
                port, host = here.served.port, here.host.address
                reply = await get(port, "/admin/api/in-flight", key=ADMIN, host=host)
                return request_id in {row["request_id"] for row in reply.json["rows"]}

            await eventually(listed, "the stream of the other host")

            # The cut. Nobody waits for long, nothing fails, and each side keeps to what it may.
            there.host.cut()
            slowest = 0.0
            cut_off: Counter[int] = Counter()
            for _ in range(RPM):
                asked = time.monotonic()
                cut_off[await there.status(rate)] += 1
                slowest = max(slowest, time.monotonic() - asked)
            assert set(cut_off) <= {200, 429}
            await there.said("limits_degraded")
            connected = await here.statuses(rate, RPM)
            assert set(connected) <= {200, 429}
            due = RPM + (time.monotonic() - began) * RPM / 60
            # Its share is half of the limit, beside what all together have.
            assert EARLY + connected[200] <= due + 1
            assert cut_off[200] <= due / 2 + 1
            assert slowest < 5, f"a request waited {slowest:.1f} s for a server that is away"
            alone = await there.statuses(money, 3)
            answered += connected[200] + cut_off[200] + alone[200]
            assert set(alone) <= {200, 429}
            # No key is good that is not, on either side.
            assert await there.status("sk-nobody") == 401
            # A place that is taken over there is still taken here.
            assert await here.status(places) == 200
            answered += 1

            # It comes back: without a burst, with all that was spent, and nothing is lost.
            there.host.heal()
            await there.said("limits are shared", 2)
            healed = time.monotonic()
            again = await here.statuses(rate, RPM // 3) + await there.statuses(rate, RPM // 3)
            refilled = (time.monotonic() - healed) * RPM / 60
            assert again[200] <= due - EARLY - connected[200] + refilled + RPM / 4, again
            answered += again[200]
        # The stream has ended with its caller, so both places are free on both sides.
        for site in (here, there):
            await eventually(lambda site=site: _is_free(site, places), "places")  # type: ignore[misc]
        left = PAID_FOR - 12
        rest = await here.statuses(money, left) + await there.statuses(money, left)
        assert set(rest) == {200, 429}
        total = spent[200] + alone[200] + rest[200]
        # On a busy machine the state server may be late once more, without a cut. Then a side
        # decides by itself, which is a half of the budget for each whatever was spent before.
        late = sum(site.served.said.count(b"limits_degraded") for site in (here, there)) - 1
        assert PAID_FOR - 2 <= total <= PAID_FOR + 3 + (spent[200] if late else 0), (total, late)
        for site in (here, there):
            assert await site.status(money) == 429
        answered += rest[200]
        assert answered > PAID_FOR

        async def all_recorded() -> bool:
            rows = await trio.to_thread.run_sync(on_postgresql.rows)
            return len([row for row in rows if row["status"] == 200]) >= answered

        await eventually(all_recorded, f"{answered} records")


async def _is_free(site: Site, key: str) -> bool:
    async with calling(site.served.port, host=site.host.address) as one:
        await one.post(chat_body(stream=True), key=key)
        if await one.head() != 200:
            return False
        return await site.status(key) == 200


async def test_a_key_that_is_revoked_during_a_cut(
    hosts: tuple[Host, Host], write: Write, valkey: ValkeyServer, on_postgresql: Kept
) -> None:
    async with sites(hosts, write, valkey, on_postgresql) as (here, there, _):
        made = await post(here, "/admin/api/keys", {"name": "app", "models": ["*"]})
        key = str(made["secret"])

        async def serves(site: Site) -> bool:
            return await site.status(key) == 200

        await eventually(lambda: serves(there), "the new key on the other host")
        there.host.cut()
        async with calling(here.served.port, host=here.host.address) as caller:
            reply = await caller.get("/admin/api/keys/app", key=ADMIN, method="DELETE")
        assert reply.status in (200, 204), reply.body

        async def refuses(site: Site) -> bool:
            return await site.status(key) == 401

        await eventually(lambda: refuses(here), "a refusal")
        # Who is cut off cannot know, and does not refuse what it knows for that.
        assert await there.status(key) == 200
        there.host.heal()
        with trio.fail_after(PATIENCE):
            await eventually(lambda: refuses(there), "a refusal after the cut")


async def post(site: Site, target: str, body: dict[str, object]) -> dict[str, object]:
    async with calling(site.served.port, host=site.host.address) as caller:
        await caller.post(msgspec.json.encode(body), key=ADMIN, target=target)
        reply = await caller.reply()
    assert reply.status in (200, 201, 204), reply.body
    found: dict[str, object] = reply.json if reply.body else {}
    return found
