from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from gateway.errors import Overloaded
from gateway.proxy.relayed.spool import Spool


async def test_what_is_written_is_read_in_order_whether_in_memory_or_not() -> None:
    for in_memory in (0, 10, 1000, 10**6):
        spool = Spool(in_memory)
        data = b""
        for number in range(50):
            piece = bytes([number]) * (number * 7)
            await spool.write(piece)
            data += piece
        assert spool.size == len(data)
        assert len(spool.beginning) <= in_memory
        for start in (0, 5, 10, 999, 1000, 1001, len(data) - 1):
            read, at = b"", start
            while piece := await spool.read(at):
                read += piece
                at += len(piece)
            assert read == data[start:]
        await spool.aclose()
        await spool.aclose()


async def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    spool = Spool(0)
    with pytest.raises(Overloaded):
        await spool.write(b"x")
    await spool.aclose()
