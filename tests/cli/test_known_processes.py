from __future__ import annotations

import pytest

from gateway.cli.known_processes import _in_state
from gateway.core.limits.operations import StoreFailed
from gateway.core.state_server import StateServer
from gateway.errors import StoreUnavailable
from gateway.state.redis.process_roll import ProcessRoll

from ..valkey import ValkeyServer


@pytest.mark.parametrize(
    ("raised", "seen"), [(KeyboardInterrupt, KeyboardInterrupt), (StoreFailed, StoreUnavailable)]
)
def test_what_ends_a_question_is_in_no_group(
    raised: type[BaseException], seen: type[BaseException], valkey: ValkeyServer
) -> None:
    async def ask(roll: ProcessRoll) -> None:
        raise raised

    with pytest.raises(seen):
        _in_state(StateServer(url=valkey.url), ask)
