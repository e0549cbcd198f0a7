"""What is read without the parser of the command line means the same as with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli import command_line
from gateway.cli.serving import plain_arguments as module
from gateway.cli.serving.plain_arguments import plain_arguments
from gateway.cli.serving.start import ServeArguments


def parsed(words: list[str], monkeypatch: pytest.MonkeyPatch) -> ServeArguments:
    """Return what the parser of the command line makes of `words`."""
    found: list[ServeArguments] = []

    def start(arguments: ServeArguments) -> int:
        found.append(arguments)
        return 0

    monkeypatch.setattr(command_line, "start", start)
    assert command_line.app(words) == 0
    return found[0]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["config.toml"],
        ["/etc/gateway/config.toml", "--workers", "4"],
        ["-c", "a b.toml", "-w", "0"],
        ["--config=a=b.toml", "--workers=12"],
        ["--bind", "[::1]:0", "--state-dir", "~/x/../y"],
        ["--bind=unix:/run/gateway", "x.toml"],
        ["--trial", "--handover-fd", "7", "x.toml"],
        ["-c", "x", "--listen-fds", "3", "--listen-fds", "4", "--admin-fds", "5"],
        ["--listen-fds=3", "--lifeline-fd", "9", "--ready-fd", "10"],
    ],
)
def test_plain_ones_mean_the_same(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    found = plain_arguments(["serve", *words])
    assert found is not None
    assert found == parsed(["serve", *words], monkeypatch)


def test_every_option_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    members = {member for member, _ in module._OPTIONS.values()} | {"file", "trial"}
    assert members == set(ServeArguments.__struct_fields__)
    for option, (member, read) in module._OPTIONS.items():
        found = plain_arguments(["serve", option, "3"])
        assert found is not None
        value = getattr(found, member)
        assert value == ((read("3"),) if member in module._SEVERAL else read("3"))
        assert found == parsed(["serve", option, "3"], monkeypatch)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--help"],
        ["check", "config.toml"],
        ["serve", "--help"],
        ["serve", "-h"],
        ["serve", "--version"],
        ["serve", "--bogus"],
        ["serve", "a", "b"],
        ["serve", "--", "a"],
        ["serve", "-w4"],
        ["serve", "-c=x"],
        ["serve", "-w", "x"],
        ["serve", "-w", "1_0"],
        ["serve", "-w", "-1"],
        ["serve", "-w", "04"],
        ["serve", "-w", "\u0663"],
        ["serve", "-w"],
        ["serve", "--bind", "--workers"],
        ["serve", "--bind="],
        ["serve", ""],
        ["serve", "-c", "a", "-c", "b"],
        ["serve", "--no-trial"],
    ],
)
def test_all_else_is_left_to_the_parser(words: list[str]) -> None:
    assert plain_arguments(words) is None


def test_what_serves_has_no_parser_of_the_command_line() -> None:
    script = """
import sys
from gateway.telemetry.without_rich import import_structlog
import_structlog()
import gateway.cli, gateway.cli.serving.one, gateway.cli.serving.several
print(*sys.modules)
"""
    found = subprocess.run(  # noqa: S603  # ours
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert not {"cyclopts", "rich", "alembic", "starlette"} & {*found.stdout.split()}
