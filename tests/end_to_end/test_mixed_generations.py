"""A rolling change of the configuration: one host has the next generation, the other not yet."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ..valkey import ValkeyServer
from .caller import Reply, ask, get
from .harness import GATEWAY, Served, config, spawned
from .provider import serving, speaking
from .store import ADMIN, ADMINS, Kept, eventually

pytestmark = pytest.mark.slow

Write = Callable[[str], Path]
OLD, NEW, BOTH, GONE = "sk-old-of-tests", "sk-new-of-tests", "sk-both-of-tests", "sk-gone-of-tests"
RPM = 30


def token(name: str, key: str, limits: str = "") -> str:
    return f'[[tokens]]\nname = "{name}"\nkey = "{key}"\nmodels = ["*"]\n{limits}\n'


# What only the one knows, what only the other knows, and what both know with other limits.
FIRST = token("gone", GONE) + token("both", BOTH, f"rpm = {RPM}\nmax_concurrent = 4")
SECOND = (
    '[[models]]\nname = "new"\nroutes = [{ provider = "p0", model = "y" }]\n'
    '[[teams]]\nname = "team"\nrpm = 6\n'
    + token("new", NEW, 'team = "team"')
    + token("both", BOTH, f"rpm = {2 * RPM}\nbudget = {{ usd = 1.0 }}")
)


@asynccontextmanager
async def two_generations(
    write: Write, valkey: ValkeyServer, kept: Kept, port: int
) -> AsyncIterator[tuple[Served, Served, Path]]:
    state = f'[state]\nurl = "{valkey.url}"\ntimeout = 2.0\n'
    texts = [
        config(port, tokens=ADMINS + more, store=kept.store) + state for more in (FIRST, SECOND)
    ]
    first = write(texts[0])
    second = first.with_name("next.toml")
    second.write_text(texts[1])
    async with (
        spawned(GATEWAY, first, GATEWAY_HOST="a") as a,
        spawned(GATEWAY, second, GATEWAY_HOST="b") as b,
    ):
        for served in (a, b):

            async def shared(served: Served = served) -> bool:
                return b"limits are shared" in served.said

            await eventually(shared, "shared limits")
        yield a, b, first


async def through(served: Served, key: str, many: int) -> Counter[int]:
    found: Counter[int] = Counter()
    for _ in range(many):
        found[(await ask(served.port, key=key)).status] += 1
    return found


async def of_model(served: Served, model: str, key: str) -> Reply:
    return await ask(served.port, key=key, model=model)


async def test_each_goes_by_what_it_knows_and_they_count_together(
    write: Write, valkey: ValkeyServer, on_postgresql: Kept
) -> None:
    async with (
        serving(speaking) as provider,
        two_generations(write, valkey, on_postgresql, provider.port) as (a, b, file),
    ):
        # Keys, models and teams that only one knows: refused by the other, never an error of ours.
        assert {s.port: await through(s, NEW, 2) for s in (a, b)} == {
            a.port: {401: 2},
            b.port: {200: 2},
        }
        assert await through(a, GONE, 1) == {200: 1}
        assert await through(b, GONE, 1) == {401: 1}
        assert (await of_model(a, "new", BOTH)).status == 404
        assert (await of_model(b, "new", BOTH)).status == 200
        # One and the same bucket, in which a request takes half as much there as here. Neither lets
        # through more than its own limit, and together it is never more than the larger one.
        began = time.monotonic()
        found: dict[str, Counter[int]] = {"a": Counter(), "b": Counter()}
        for _ in range(2 * RPM):
            found["a"] += await through(a, BOTH, 1)
            found["b"] += await through(b, BOTH, 1)
        seconds = time.monotonic() - began
        assert {*found["a"], *found["b"]} <= {200, 429}
        took = found["a"][200] * 60 / RPM + found["b"][200] * 60 / (2 * RPM)
        # A bucket of a minute, less the one request that came before, and what it refilled since.
        assert 60 - 2 * 60 / RPM <= took <= 60 + seconds + 60 / RPM, (found, seconds)
        # Either says which configuration each has.
        status = (await get(a.port, "/admin/api/status", key=ADMIN)).json
        paths = {
            host["name"]: host["processes"][0]["state"]["config"]["path"]
            for host in status["hosts"]
        }
        assert paths == {"a": str(file), "b": str(file.with_name("next.toml"))}
        # Then the first follows: the same key, the same account, and no burst of a new one.
        file.write_text(file.with_name("next.toml").read_text())
        assert (await reload(a)).status == 200
        assert await through(a, NEW, 1) == {200: 1}
        assert await through(a, GONE, 1) == {401: 1}
        assert (await of_model(a, "new", NEW)).status == 200
        rest = await through(a, BOTH, RPM)
        refilled = (time.monotonic() - began - seconds) * 2 * RPM / 60
        assert rest[200] <= refilled + 2, rest


async def reload(served: Served) -> Reply:
    from .test_hosts import act

    return await act(served, "reload")
