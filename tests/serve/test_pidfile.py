"""The pid file, shared by real processes: the locks in it are theirs."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from gateway.serve.pidfile import PidFile, running

ROOT: Final = Path(__file__).parents[2]
# Writes its line, says so, and takes it out at the end of stdin.
HOLDER: Final = """
import sys
from pathlib import Path
from gateway.serve.pidfile import PidFile
file = PidFile(Path(sys.argv[1]))
file.write()
print("written", flush=True)
sys.stdin.read()
file.remove()
"""


@contextlib.contextmanager
def holding(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", HOLDER, str(path)]
    process = subprocess.Popen(  # noqa: S603  # ours
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            assert process.stdout.readline() == b"written\n"
            yield process
        finally:
            process.stdin.close()
            process.wait(10)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.pid"


def test_gateways_share_a_file_and_the_last_takes_it_away(path: Path) -> None:
    with holding(path) as first:
        with holding(path) as second:
            assert path.read_text() == f"{first.pid}\n{second.pid}\n"
            assert running(path) == [first.pid, second.pid]
        assert path.read_text() == f"{first.pid}\n"
    assert not path.exists()
    assert running(path) == []


def test_a_process_that_is_no_gateway_is_never_named(path: Path) -> None:
    # Itself alive, but without the lock: such is a process with a number used before.
    path.write_text(f"{os.getpid()}\n{os.getppid()}\n1\n")
    assert running(path) == []


def test_a_killed_gateway_is_gone_at_once_and_its_line_with_the_next(path: Path) -> None:
    with holding(path) as first:
        first.kill()
        first.wait(10)
        assert path.read_text() == f"{first.pid}\n"
        assert running(path) == []
        with holding(path) as second:
            assert path.read_text() == f"{second.pid}\n"


def test_writing_and_removing_twice_changes_nothing(path: Path) -> None:
    file = PidFile(path)
    file.remove()
    file.write()
    file.write()
    assert path.read_text() == f"{os.getpid()}\n"
    file.remove()
    file.remove()
    assert not path.exists()


def test_none_is_none(tmp_path: Path) -> None:
    file = PidFile(None)
    file.write()
    file.remove()
    assert os.listdir(tmp_path) == []


def test_a_file_that_was_taken_away_meanwhile_is_let_be(path: Path) -> None:
    file = PidFile(path)
    file.write()
    path.unlink()
    path.write_text("of somebody else\n")
    file.remove()
    assert path.read_text() == "of somebody else\n"


@pytest.mark.parametrize("content", ["[server]\n", "12", "0\n", "-1\n", "1 2\n", "1\n" * 40_000])
def test_what_is_no_pid_file_is_not_touched(
    path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text(content)
    file = PidFile(path)
    with caplog.at_level(logging.WARNING):
        file.write()
        file.remove()
    assert path.read_text() == content
    assert [record.message.rsplit(": ", 1)[1] for record in caplog.records] == [
        "holds something else than process ids"
    ]
    with pytest.raises(OSError, match="something else"):
        running(path)


@pytest.mark.parametrize("kind", ["absent folder", "folder", "link", "fifo"])
def test_where_none_can_be_written_one_warning_says_so(
    path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    if kind == "absent folder":
        path = path.parent / "absent" / "gateway.pid"
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(path.parent / "elsewhere")
    else:
        os.mkfifo(path)
    file = PidFile(path)
    with caplog.at_level(logging.WARNING):
        file.write()
        file.remove()
    assert len(caplog.records) == 1
    assert str(path) in caplog.text
    assert str(os.getpid()) in caplog.text
    assert not (path.parent / "elsewhere").exists()
