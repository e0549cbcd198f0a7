from __future__ import annotations

from typing import Any

import pytest

from gateway.api.requests.served_request import served_request


@pytest.mark.parametrize("scope", [{}, {"extensions": None}, {"extensions": {}}])
def test_other_servers_say_nothing(scope: dict[str, Any]) -> None:
    assert served_request(scope) is None


def test_ours_says_it_in_an_extension() -> None:
    said: Any = object()
    assert served_request({"extensions": {"gateway.request": {"served": said}}}) is said
