"""Capturing one key for a while from the page, in process."""

from __future__ import annotations

import time

from gateway.store.control.capture_windows import open_windows

from .conftest import Acting


async def test_a_key_is_captured_and_it_can_be_stopped(site: Acting) -> None:
    answer = await site.act("/admin/debug/capture", token="app", reason="<i>odd", **{"for": "3600"})
    page = await site.follow(answer)
    assert "Requests of <strong>app</strong> are captured" in page
    assert "&lt;i&gt;odd" in page
    now = time.time()
    (window,) = site.database.read_now(lambda connection: open_windows(connection, now))
    assert window.token == "app"
    assert 3500 < window.until - now <= 3600
    entry = site.noted()[-1]
    assert (entry["action"], entry["target"]) == ("capturing_started", "app")
    assert entry["details"]["old"] == {"capturing": False}
    page = await site.follow(await site.act("/admin/debug/stop", token="app"))
    assert "captured no longer" in page
    assert site.noted()[-1]["details"]["old"]["by"] == "new-operator"
    assert site.database.read_now(lambda connection: open_windows(connection, now)) == []
    # Analysts see the list, and no form.
    page = (await site.see("/admin/debug", "analyst")).body.decode()
    assert "/admin/debug/capture" not in page


async def test_what_cannot_be_is_explained(site: Acting) -> None:
    for fields, status in (
        ({"token": "none"}, 404),
        ({"token": ""}, 400),
        ({}, 400),
        ({"token": "app", "for": "86401"}, 400),
        ({"token": "app", "reason": "a\nb"}, 400),
        ({"token": "a\0b"}, 400),
    ):
        answer = await site.act("/admin/debug/capture", **fields)
        assert answer.status == status, fields
