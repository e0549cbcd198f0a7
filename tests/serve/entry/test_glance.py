"""What first bytes tell, and how long that is kept."""

from __future__ import annotations

import pytest

from gateway.serve.entry import glance
from gateway.serve.entry.asker import asker
from gateway.serve.entry.dismissal import Dismissal
from gateway.serve.entry.glance import Glances

DISMISSAL = Dismissal(list)
KEYED = b"POST /v1/messages HTTP/1.1\r\nx-api-key: sk-1\r\ncontent-length: 2\r\n\r\n"
PLAIN = b"HEAD / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"


@pytest.mark.parametrize("again", [False, True], ids=["first", "kept"])
def test_tells_who_asks_how_much_comes_and_what_the_answer_looks_like(again: bool) -> None:
    glances = Glances()
    for _ in range(1 + again):
        keyed = glances.at(KEYED + b"{}", DISMISSAL)
        plain = glances.at(PLAIN, DISMISSAL)
    assert keyed.by("192.0.2.1") == asker(KEYED, "")
    assert keyed.size == len(KEYED) + 2
    assert keyed.kind == (False, "anthropic_messages")
    # The same head from two addresses is two callers.
    assert [plain.by("192.0.2.1"), plain.by("192.0.2.2")] == ["192.0.2.1", "192.0.2.2"]
    assert plain.size == len(PLAIN)
    assert plain.kind[0]


@pytest.mark.parametrize("data", [b"", KEYED[:-2], b"\x16\x03\x01"])
def test_what_has_no_whole_head_has_no_size_and_is_not_kept(data: bytes) -> None:
    glances = Glances()
    assert glances.at(data, DISMISSAL).size is None
    assert repr(glances) == "<Glances 0>"


def test_keeps_a_bounded_number_and_no_key() -> None:
    glances = Glances()
    for number in range(glance.MOST + 10):
        glances.at(b"GET /%d HTTP/1.1\r\nx-api-key: sk-1\r\n\r\n" % number, DISMISSAL)
    assert len(glances._kept) == 10
    assert "sk-1" not in repr(glances._kept)
