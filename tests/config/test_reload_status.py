"""What a reload leaves as it is."""

from __future__ import annotations

import pytest

from gateway.config.load import parse
from gateway.config.reload_status import ReloadOutcome, hold_fixed
from gateway.config.schema import Config

MODEL = (
    '[providers.p]\nkind = "demo"\n[[models]]\nname = "m"\nroutes = [{provider="p", model="x"}]\n'
)


def config(text: str = "") -> Config:
    return parse(text + MODEL, "config.toml", {})


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("", ()),
        ('[server]\nbind = "0.0.0.0:80"\n', ("server.bind",)),
        ('[server]\npid_file = ""\n', ("server.pid_file",)),
        ("[log]\nrequests = false\n", ("log.requests",)),
        ("[admin]\npage_process = false\n", ("admin.page_process",)),
        (
            '[server]\nbind = "unix:/x"\npid_file = "p"\nsend_timeout = 7\n',
            ("server.bind", "server.pid_file"),
        ),
        ("[server]\nsend_timeout = 7\n[limits]\nrpm = 5\n", ()),
    ],
)
def test_what_needs_a_restart_is_named_and_held(text: str, held: tuple[str, ...]) -> None:
    running, wanted = config(), config(text)
    found, names = hold_fixed(running, wanted)
    assert names == held
    # All else is as the file has it.
    assert found.server.bind == running.server.bind
    assert found.server.pid_file == running.server.pid_file
    assert found.log.requests is running.log.requests
    assert found.server.send_timeout == wanted.server.send_timeout
    assert found.limits == wanted.limits


def test_what_was_held_is_named_again_by_the_next_reload() -> None:
    wanted = config('[server]\nbind = "0.0.0.0:80"\n')
    held, _ = hold_fixed(config(), wanted)
    assert hold_fixed(held, wanted) == (held, ("server.bind",))
    # And no longer once the file agrees with what is.
    assert hold_fixed(held, config()) == (config(), ())


def test_an_outcome_with_problems_is_no_reload() -> None:
    assert ReloadOutcome(2).reloaded
    assert not ReloadOutcome(2, problems=("x",)).reloaded
