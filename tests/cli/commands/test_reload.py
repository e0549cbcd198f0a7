"""`gateway reload`, in this process: what it says of what the gateways have written down."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from gateway.cli.commands import reload as command
from gateway.config.reload_status import ReloadOutcome
from gateway.process.serving.outcomes import ToldOutcome

ENOUGH = '[providers.d]\nkind = "demo"\n[[models]]\nname = "m"\n' + (
    'routes = [{ provider = "d", model = "d" }]\n'
)
GOOD = ReloadOutcome(2, changed=("models.m", "tokens.\x1bt"))
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    file = tmp_path / "config.toml"
    file.write_text(ENOUGH)

    def ran(*outcomes: ReloadOutcome | None, late: float = 0.0, patience: float = 5.0):  # type: ignore[no-untyped-def]
        for number in range(len(outcomes)):
            write(tmp_path, number, ToldOutcome(0.0, ReloadOutcome(1)))

        def tell() -> None:
            time.sleep(late)
            for number, outcome in enumerate(outcomes):
                if outcome is not None:
                    write(tmp_path, number, ToldOutcome(time.monotonic(), outcome))

        teller = threading.Thread(target=tell)

        def signalled(path: Path) -> list[int]:
            teller.start()
            return [77]

        monkeypatch.setattr(command, "signal_running", signalled)
        status = command.reload_running(file, patience)
        if teller.ident is not None:
            teller.join()
        out, err = capsys.readouterr()
        return status, out, err

    return ran


def write(folder: Path, number: int, told: ToldOutcome) -> None:
    (folder / f"gateway.pid.77.{number}").write_bytes(msgspec.json.encode(told))


def test_it_waits_for_what_changed(run: Run) -> None:
    assert run(GOOD, late=0.2) == (
        0,
        "process 77 has reloaded; changed: models.m, tokens.\\x1bt\n",
        "",
    )


def test_nothing_may_have_changed(run: Run) -> None:
    assert run(ReloadOutcome(2))[1] == "process 77 has reloaded; nothing has changed\n"


def test_notes(run: Run) -> None:
    outcome = ReloadOutcome(
        2, ("server.bind",), changed=("log.level",), warnings=("[[models]]: 2",)
    )
    status, out, err = run(outcome, outcome)
    assert (status, out) == (0, "process 77 (2 workers) has reloaded; changed: log.level\n")
    assert err == "note: server.bind needs a restart, and stays as it was\nnote: [[models]]: 2\n"


def test_a_long_list_is_cut(run: Run) -> None:
    changed = tuple(f"tokens.{number}" for number in range(25))
    assert run(ReloadOutcome(2, changed=changed))[1].endswith("tokens.19 and 5 more\n")


def test_a_failure_is_told_with_its_reasons(run: Run) -> None:
    bad = ReloadOutcome(1, problems=("config.toml: [lgo]: unknown key",))
    status, out, err = run(bad)
    assert (status, out) == (1, "")
    assert err == (
        "error: config.toml: [lgo]: unknown key\n"
        "error: process 77: could not use it, and goes on with what it has\n"
    )
    assert "process 77 (2 workers): 1 of its workers could not use it" in run(bad, GOOD)[2]


def test_one_that_says_nothing(run: Run) -> None:
    status, out, err = run(GOOD, None, patience=0.3)
    assert (status, out) == (1, "")
    assert err == ("error: process 77 has not reloaded within 0.3 s; its log says how it goes\n")


def test_one_that_tells_nothing_at_all(run: Run) -> None:
    """Such as a gateway that may not write beside its pid file."""
    assert run() == (0, "asked process 77 to reload; its log says how it went\n", "")


def test_faults_are_not_sent(run: Run, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[lgo]\n")
    status, out, err = run(GOOD)
    assert (status, out) == (1, "")
    assert "nothing was sent" in err
