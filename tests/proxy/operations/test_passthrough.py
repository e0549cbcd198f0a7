from __future__ import annotations

import pytest

from gateway.errors import InvalidRequest
from gateway.proxy.operations.passthrough import target_of


def test_a_version_stands_in_the_path_once() -> None:
    cases = [
        (b"/v1", b"models", b"/v1/models"),
        (b"/v1", b"v1/models", b"/v1/models"),
        (b"/v1", b"v1", b"/v1"),
        (b"/v1", b"v1beta/models", b"/v1/v1beta/models"),
        (b"/openai/v1", b"v1/files/a%2Fb/content", b"/openai/v1/files/a%2Fb/content"),
        (b"", b"v1/messages", b"/v1/messages"),
        (b"/api", b"api/x", b"/api/api/x"),
        (b"/v1beta", b"v1beta/models/g:generateContent", b"/v1beta/models/g:generateContent"),
        (b"/v1", b"", b"/v1/"),
    ]
    for base, path, target in cases:
        assert target_of(base, path) == target


@pytest.mark.parametrize(
    "path", [b"..", b"a/../b", b"a/./b", b"%2e%2e/x", b"a%2f..%2fb", b"a b", b"a\x00", b"a\\b"]
)
def test_no_path_leads_elsewhere(path: bytes) -> None:
    with pytest.raises(InvalidRequest):
        target_of(b"/v1", path)
