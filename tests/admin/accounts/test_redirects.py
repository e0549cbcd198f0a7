"""A sign-in leads back to pages of ours and to no other site."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.admin.accounts.redirects import HOME, back_from_sign_in, to_sign_in

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/admin", ""),
        ("/admin/", ""),
        ("/admin/requests", "model=a&q=%22x%22&since=24h"),
        ("/admin/requests/req_1", ""),
        ("/admin/keys", "x=https://a/b"),
    ],
)
def test_there_and_back(path: str, query: str) -> None:
    target = to_sign_in(path, query)
    parts = urlsplit(target)
    assert parts.path == "/admin/sign-in"
    (back,) = parse_qs(parts.query)["next"]
    assert back == path + (f"?{query}" if query else "")
    assert back_from_sign_in(back) == back


@pytest.mark.parametrize(
    "target",
    [
        "",
        "https://evil.example/admin/",
        "//evil.example/admin/",
        "/\\evil.example",
        "/admin//evil.example",
        "/admin/\\evil.example",
        "/admin/\nset-cookie: x",
        "/admin/ x",
        "/admin.evil.example",
        "/administrator",
        "/v1/models",
        "javascript:alert(1)",
        "/admin/ü",
    ],
)
def test_nowhere_else(target: str) -> None:
    assert back_from_sign_in(target) == HOME
