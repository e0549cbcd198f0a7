"""Every API to every API, feature by feature, streamed and whole, over TCP."""

from __future__ import annotations

import traceback

import pytest
import trio

from ...end_to_end.harness import in_process
from ...end_to_end.provider import serving, speaking
from ...rounds import rounds
from ..page import check_table, table
from ..world import APIS, config, targets_of
from .cells import FEATURES, Cell, shown
from .chat import Chat
from .cohere import Cohere
from .converse import Converse
from .gemini import Gemini
from .messages import Messages
from .ollama import Ollama
from .responses import Responses
from .spoken import Spoken

SPOKEN: dict[str, Spoken] = {
    api.name: api
    for api in (Chat(), Messages(), Responses(), Gemini(), Converse(), Cohere(), Ollama())
}
# Seconds for one cell on a busy machine.
_PATIENCE = 30.0


@pytest.mark.slow
@pytest.mark.parametrize("caller", APIS.values())
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_the_pairs_of(caller: str, *, stream: bool) -> None:
    """One gateway for all: to start one takes longer than a pair.

    Both ways of each cell in a soak, and otherwise one of the two, in turns.
    """
    wrong: dict[str, str] = {}
    row = [*APIS.values()].index(caller)
    async with serving(speaking) as provider, in_process(config(provider.port)) as gateway:
        for column, target in enumerate(targets_of(caller)):
            for number, (name, feature) in enumerate(FEATURES.items()):
                if rounds((row + column + number) % 2 != stream, False):
                    continue
                cell = Cell(gateway, provider, SPOKEN[caller], SPOKEN[target], stream=stream)
                try:
                    with trio.fail_after(_PATIENCE):
                        await feature(cell)
                except Exception:  # noqa: BLE001  # all that is wrong is told at once
                    wrong[f"{caller} -> {target}: {name}"] = traceback.format_exc()
        await gateway.settled()
    assert not wrong, "\n".join(f"{name}\n{what}" for name, what in wrong.items())


def test_the_page_says_so() -> None:
    """The test above has held every cell of it, both ways in a soak."""
    rows = []
    for caller in APIS.values():
        assert targets_of(caller) == [*APIS.values()]
        for name in FEATURES:
            cells = [shown(name, SPOKEN[caller], SPOKEN[target]) for target in APIS.values()]
            rows.append([caller, name, *cells])
    check_table(
        "features", table(["caller", "feature", *(f"→ {each}" for each in APIS.values())], rows)
    )
