"""Captures by id: what is looked for is found, and looking is bounded."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pytest

from gateway.captures import files as captures
from gateway.captures.search import MOST, find_captures, read_captures

from .test_files import write


def texts(folder: Path, **bounds: int) -> tuple[list[str], bool]:
    found = read_captures(folder, "same", **bounds)
    return [each.request.body.text for each in found.rows], found.more


def inflated(path: Path) -> int:
    return len(gzip.decompress(path.read_bytes()))


def test_of_many_the_newest_are_read(tmp_path: Path) -> None:
    for age in range(14):
        write(tmp_path, "same", age=age * 3600.0, body=b"%d" % age)
    assert texts(tmp_path) == ([str(age) for age in range(MOST)], True)
    assert texts(tmp_path, most=14) == ([str(age) for age in range(14)], False)
    assert texts(tmp_path, most=1) == (["0"], True)


def test_what_is_read_is_bounded_in_bytes(tmp_path: Path) -> None:
    sizes = [
        inflated(write(tmp_path, "same", age=age, body=b'"%d' % age + b"x" * 2000 + b'"'))
        for age in range(3)
    ]
    for bound, count in [(sum(sizes), 3), (sum(sizes) - 1, 2), (sum(sizes[:2]), 2)]:
        found, more = texts(tmp_path, max_bytes=bound)
        assert [text[1] for text in found] == [str(number) for number in range(count)]
        assert more == (count < 3)
    assert texts(tmp_path, max_bytes=10) == ([], True)


@pytest.mark.slow
def test_nothing_is_inflated_beyond_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "same")
    path.write_bytes(gzip.compress(b"x" * 100_000_000))
    asked: list[int] = []

    class File(gzip.GzipFile):
        def readline(self, size: int | None = -1) -> bytes:
            asked.append(size or -1)
            return super().readline(size)

    monkeypatch.setattr(gzip, "GzipFile", File)
    assert texts(tmp_path, max_bytes=1000) == ([], True)
    assert asked == [1001]


def test_nothing_is_asked_about_the_files_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        write(tmp_path, f"req_{number}")
    write(tmp_path, "same")
    write(tmp_path, "same")
    made: list[str] = []

    class File(captures.CaptureFile, frozen=True):
        def __post_init__(self) -> None:
            made.append(self.name)

    monkeypatch.setattr(captures, "CaptureFile", File)
    assert len(list(find_captures(tmp_path, "same"))) == 2
    assert len(made) == 2


def test_a_name_is_matched_to_its_end(tmp_path: Path) -> None:
    path = write(tmp_path, "a.b")
    for name in ("a.bc.jsonl.gz", "aXb.jsonl.gz", "a.b~1.jsonl.gz", "a.b~0123456789.jsonl.gz"):
        os.link(path, path.with_name(name))
    found: list[Any] = [file.name for file in find_captures(tmp_path, "a.b")]
    assert found == ["a.b.jsonl.gz"]
