"""Draining, enabling and resetting from the page, in process: asked, done, said, written down."""

from __future__ import annotations

from gateway.store.control.deployments import all_orders

from .conftest import Acting

_DRAIN = "/admin/models/p%2Fx/drain"


async def test_a_drain_is_asked_about_done_and_written_down(site: Acting) -> None:
    asked = await site.see(_DRAIN)
    assert asked.status == 200
    assert b"Requests that are on it are finished" in asked.body
    assert b"<h1" in asked.body
    # A script gets the form alone.
    part = await site.see(_DRAIN, hx_request="true")
    assert b"<html" not in part.body
    assert b'action="/admin/models/p%2Fx/drain"' in part.body
    page = await site.follow(await site.act(_DRAIN, **{"for": "900", "reason": "<b>quota"}))
    assert "<strong>p/x</strong> is drained" in page
    (order,) = site.database.read_now(all_orders)
    assert (order.name, order.drained_by, order.reason) == ("p/x", "new-operator", "<b>quota")
    entry = site.noted()[-1]
    assert (entry["action"], entry["target"]) == ("deployment_drained", "p/x")
    assert entry["details"] == {"for_s": 900.0, "reason": "<b>quota", "old": {"drained": False}}
    page = await site.follow(await site.act("/admin/models/p%2Fx/enable"))
    assert "takes requests again" in page
    assert site.noted()[-1]["details"]["old"]["drained"] is True
    page = await site.follow(await site.act("/admin/models/p%2Fx/enable"))
    assert "Nothing has changed" in page
    page = await site.follow(await site.act("/admin/models/p%2Fx/reset"))
    assert "The breaker of <strong>p/x</strong> is closed" in page
    assert site.noted()[-1]["action"] == "breaker_reset"


async def test_what_cannot_be_is_explained(site: Acting) -> None:
    for fields in ({"for": "0"}, {"for": "x"}, {"for": "99999999"}, {"reason": "a" * 201}):
        answer = await site.act(_DRAIN, **fields)
        assert answer.status == 400, fields
    answer = await site.act("/admin/models/p%2Fnone/drain")
    assert answer.status == 404
    assert b"no deployment" in answer.body
    assert site.database.read_now(all_orders) == []
