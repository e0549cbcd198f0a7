"""Every API to every API, feature by feature, streamed and whole, over TCP."""

from __future__ import annotations

import traceback

import pytest
import trio

from ...end_to_end.harness import in_process
from ...end_to_end.provider import serving, speaking
from ..page import check_table, table
from ..world import APIS, config, targets_of
from .cells import FEATURES, Cell
from .chat import Chat
from .messages import Messages
from .responses import Responses
from .spoken import Api

SPOKEN: dict[str, Api] = {api.name: api for api in (Chat(), Messages(), Responses())}
PAIRS = [(caller, target) for caller in APIS.values() for target in targets_of(caller)]
# Seconds for one cell on a busy machine.
_PATIENCE = 30.0


@pytest.mark.parametrize(("caller", "target"), PAIRS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_pair(caller: str, target: str, *, stream: bool) -> None:
    wrong: dict[str, str] = {}
    async with serving(speaking) as provider, in_process(config(provider.port)) as gateway:
        for name, feature in FEATURES.items():
            cell = Cell(gateway, provider, SPOKEN[caller], SPOKEN[target], stream=stream)
            try:
                with trio.fail_after(_PATIENCE):
                    await feature(cell)
            except Exception:  # noqa: BLE001  # all that is wrong is told at once
                wrong[name] = traceback.format_exc()
        await gateway.settled()
    assert not wrong, "\n".join(f"{name}\n{what}" for name, what in wrong.items())


def test_the_page_says_so() -> None:
    """The test above has held every cell of it."""
    pairs = [(caller, target) for caller in APIS.values() for target in APIS.values()]
    rows = [[name, *("yes" if pair in PAIRS else "no" for pair in pairs)] for name in FEATURES]
    check_table("features", table(["", *(f"{a} → {b}" for a, b in pairs)], rows))
