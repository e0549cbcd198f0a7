from __future__ import annotations

import pytest

from gateway.config.checks.state_server import check_state
from gateway.core.state_server import StateServer

FINE = (
    StateServer(),
    StateServer(url="redis://h", password="p"),
    StateServer(url="redis://u:p@h"),
    StateServer(url="redis+sentinel://h/main", sentinel_password="p", password="q"),
)
FAULTS = [
    (StateServer(password="p"), "[state] password: is for a server, and url names none"),
    (StateServer(ca_file="x"), "[state] ca_file: is for a server"),
    (StateServer(url="http://h"), '[state] url: expected "redis://HOST:PORT"'),
    (StateServer(url="redis://:p@h", password="q"), "[state] password: url has one as well"),
    (StateServer(url="redis://h", username="u"), "[state] username: needs a password"),
    (StateServer(url="redis://h", sentinel_password="p"), "[state] sentinel_password: url names"),
    (StateServer(url="redis://h", ca_file="/x"), "[state] ca_file: url is without TLS"),
    (StateServer(url="rediss://h", ca_file="/nowhere"), "[state] ca_file: there is no file"),
]


def test_what_is_fine() -> None:
    for state in FINE:
        assert list(check_state(state, on_disk=True)) == []


@pytest.mark.parametrize(("state", "problem"), FAULTS)
def test_faults(state: StateServer, problem: str) -> None:
    (found,) = check_state(state, on_disk=True)
    assert found.startswith(problem)
