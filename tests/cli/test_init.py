from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import __version__
from gateway.config.sources.shipped import SHIPPED
from gateway.providers.registry import KINDS

from ..fork_server.popen import run

pytestmark = pytest.mark.slow

KNOWN_KINDS = " or ".join(f'"{name}"' for name in KINDS)
BROKEN = '[server]\nbind = 7\n[providers.p]\nkind = "opneai"\n'
PROBLEMS = (
    "error: {0}: [server] bind: expected a string, got a whole number\n"
    f'error: {{0}}: [providers.p] kind: expected {KNOWN_KINDS}, got "opneai"\n'
    "error: {0}: [[models]]: there is no model; add one with a name and routes\n"
)


def gateway(
    *arguments: str, cwd: Path | None = None, config: Path | None = None
) -> subprocess.CompletedProcess[str]:
    environ = {key: value for key, value in os.environ.items() if key != "GATEWAY_CONFIG"}
    environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    if config is not None:
        environ["GATEWAY_CONFIG"] = str(config)
    return run(
        [sys.executable, "-m", "gateway", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=cwd,
        env=environ,
    )


def outcome(found: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    return found.returncode, found.stdout, found.stderr


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.toml"
    path.write_text(BROKEN)
    return path


# gateway check...


def test_check_says_that_the_shipped_file_is_valid() -> None:
    said = f"{SHIPPED}: valid; 1 model, 1 provider, 0 tokens\n"
    assert outcome(gateway("check", str(SHIPPED))) == (0, said, "")


def test_check_says_everything_that_is_wrong(broken: Path) -> None:
    assert outcome(gateway("check", str(broken))) == (1, "", PROBLEMS.format(broken))


def test_check_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    status, out, err = outcome(gateway("check", "nowhere.toml", cwd=tmp_path))
    assert (status, out) == (1, "")
    assert err.startswith("error: nowhere.toml: no such file")


def test_check_finds_the_file(tmp_path: Path, broken: Path) -> None:
    (tmp_path / "config.toml").write_text(SHIPPED.read_text())
    assert gateway("check", cwd=tmp_path).stdout.startswith("config.toml: valid; ")
    assert gateway("check", cwd=tmp_path, config=broken).returncode == 1


# gateway serve, when it cannot...


@pytest.mark.parametrize("workers", ["1", "2"])
def test_serve_with_an_invalid_file_says_the_same_as_check(broken: Path, workers: str) -> None:
    found = gateway("serve", "--config", str(broken), "--workers", workers)
    assert outcome(found) == (1, "", PROBLEMS.format(broken))


def test_serve_with_an_invalid_bind() -> None:
    status, out, err = outcome(gateway("serve", "-c", str(SHIPPED), "--bind", "nowhere"))
    assert (status, out) == (1, "")
    assert err.startswith("error: --bind: [server] bind: 'nowhere' is not HOST:PORT")
    assert err.count("\n") == 1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_serve_on_a_port_in_use_says_so_in_one_line(workers: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        found = gateway("serve", "-c", str(SHIPPED), "--bind", address, "-w", workers)
    status, out, err = outcome(found)
    assert (status, out) == (1, "")
    assert err.startswith("error: ")
    assert address in err
    assert "in use" in err
    assert err.count("\n") == 1


def test_serve_needs_a_worker() -> None:
    status, out, err = outcome(gateway("serve", "--workers", "0"))
    assert (status, out) == (2, "")
    assert "--workers must be at least 1" in err


# The command line itself...


def test_version() -> None:
    assert outcome(gateway("--version")) == (0, f"{__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--help"], ["serve", "check"]),
        (["serve", "--help"], ["--config", "--bind", "--workers", "GATEWAY_CONFIG"]),
        (["check", "--help"], ["FILE"]),
    ],
)
def test_help(arguments: list[str], says: list[str]) -> None:
    status, out, err = outcome(gateway(*arguments))
    assert (status, err) == (0, "")
    assert all(word in out for word in says)
    # Between the processes only.
    assert "fd" not in out.lower().split()
    assert "--listen-fds" not in out


@pytest.mark.parametrize(
    "arguments",
    [["bogus"], ["--bogus"], ["serve", "--bogus"], ["serve", "-w", "x"], ["check", "a", "b"]],
)
def test_what_is_unknown_fails(arguments: list[str]) -> None:
    status, out, err = outcome(gateway(*arguments))
    assert status != 0
    assert out == ""
    assert err
    assert "Traceback" not in err
