"""Where the admin API is for people, and where it is in the code."""

from __future__ import annotations

import contextvars

import pytest

from gateway.core.admin_path import current, inside, is_below, outside


def test_what_goes_out_is_where_people_ask_for_it() -> None:
    assert outside("/admin/requests") == "/admin/requests"

    def elsewhere() -> list[str]:
        current.set("/ops/gate")
        return [outside(path) for path in ("/admin", "/admin/", "/admin/api/keys/admin")]

    found = contextvars.Context().run(elsewhere)
    assert found == ["/ops/gate", "/ops/gate/", "/ops/gate/api/keys/admin"]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/ops/gate", "/admin"),
        ("/ops/gate/", "/admin/"),
        ("/ops/gate/api/keys/ops/gate", "/admin/api/keys/ops/gate"),
        ("/ops/gated", None),
        ("/ops", None),
        ("/admin/", None),
        ("", None),
    ],
)
def test_what_comes_in_is_where_it_is_in_the_code(path: str, found: str | None) -> None:
    assert inside(path, "/ops/gate") == found
    assert is_below(path, "/ops/gate") is (found is not None)
