"""An address of the command line takes the file's place."""

from __future__ import annotations

import pytest

from gateway.config.checks.binding import with_bind
from gateway.config.schema import Config
from gateway.errors import ConfigError


def test_with_bind() -> None:
    assert with_bind(Config(), "[::1]:9").server.bind == "[::1]:9"
    with pytest.raises(ConfigError) as caught:
        with_bind(Config(), "nowhere")
    assert caught.value.problems[0].startswith("--bind: [server] bind: 'nowhere' is not HOST:PORT")
