"""Whole lines, also on a disk that is full for a while."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.telemetry.line_file import LineFile

LINES = [b'{"number": %d}\n' % number for number in range(100)]


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A disk with so many bytes left."""
    left = [1 << 20]
    write = os.write

    def limited(descriptor: int, data: bytes) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = write(descriptor, bytes(data[: left[0]]))
        left[0] -= done
        return done

    monkeypatch.setattr(os, "write", limited)
    return left


@pytest.mark.parametrize("enough", range(0, 60, 7))
def test_a_line_that_was_begun_is_finished_first(
    tmp_path: Path, room: list[int], enough: int
) -> None:
    path = tmp_path / "lines"
    with path.open("wb") as out:
        file = LineFile(out.fileno())
        room[0] = enough
        first = file.write(LINES[:10])
        assert first.error is not None
        assert first.error.errno == errno.ENOSPC
        # Nothing fits in yet, and a little, and all.
        assert file.write(LINES[10:20]).lines == 0
        room[0] = 3
        file.write(LINES[20:30])
        room[0] = 1 << 20
        last = file.write(LINES[30:])
        assert (last.lines, last.error) == (70, None)
    numbers = [json.loads(line)["number"] for line in path.read_bytes().splitlines()]
    begun = -(-enough // len(LINES[0]))
    assert first.lines == begun
    assert numbers[:begun] == [*range(begun)]
    assert numbers[-70:] == [*range(30, 100)]


def test_a_closed_descriptor_is_an_error_and_no_exception() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    file = LineFile(writer)
    assert isinstance(file.write([b"x\n"]).error, BrokenPipeError)
    os.close(writer)
    assert file.write([b"x\n"]).lines == 0


def test_on_a_real_file_that_may_grow_no_more(tmp_path: Path) -> None:
    script = """
import os, resource, sys
from gateway.telemetry.line_file import LineFile
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
file = LineFile(1)
lines = [b'{"number": %d}\\n' % n for n in range(500)]
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
assert file.write(lines).error is not None
assert file.write(lines).error is not None
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
assert file.write(lines).error is None
"""
    path = tmp_path / "lines"
    with path.open("wb") as out:
        subprocess.run([sys.executable, "-c", script], stdout=out, check=True)  # noqa: S603
    numbers = [json.loads(line)["number"] for line in path.read_bytes().splitlines()]
    assert numbers[-500:] == [*range(500)]
    assert len(numbers) > 500
