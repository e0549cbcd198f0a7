from __future__ import annotations

import threading

import pytest

from gateway.errors import InvalidRequest
from gateway.proxy.operations.off_loop import LARGE, beside


async def test_small_work_is_done_at_once_and_large_work_beside_the_loop() -> None:
    here = threading.current_thread()
    assert await beside(LARGE, threading.current_thread) is here
    assert await beside(LARGE + 1, threading.current_thread) is not here


@pytest.mark.parametrize("size", [1, LARGE + 1])
async def test_what_is_wrong_is_told(size: int) -> None:
    def refuse() -> None:
        raise InvalidRequest("no")

    with pytest.raises(InvalidRequest, match="no"):
        await beside(size, refuse)
