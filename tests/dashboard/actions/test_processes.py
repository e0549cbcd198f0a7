"""Draining a host and a process from the page of settings, in process."""

from __future__ import annotations

import re
import time

import msgspec

from gateway.core.processes import ProcessRow
from gateway.store.control.process_drains import drains
from gateway.store.control.processes import beat

from .conftest import Acting

ROW = ProcessRow(
    id="0123456789abcdef",
    host="db <1>",
    pid=4711,
    version="9.9",
    started=time.time() - 60,
    seen=0.0,
    state={
        "phase": "running",
        "in_flight": 3,
        "load": 0.5,
        "loop_lag_ms": 2.0,
        "limits": "degraded",
        "leads": ["retention"],
        "config": {"generation": 4, "last_error": None},
    },
)
_HOST = "/admin/hosts/db%20%3C1%3E"


async def test_a_host_is_shown_drained_and_put_back(site: Acting) -> None:
    site.database.write_now(lambda connection: beat(connection, ROW))
    # One of an older version says less.
    old = msgspec.structs.replace(ROW, id="b", host="old", state={"phase": "running"})
    site.database.write_now(lambda connection: beat(connection, old))
    # Which configuration one has that could not reload is to be seen among the others.
    failed = {"generation": 3, "last_error": {"at": "x", "problems": []}}
    state = {**ROW.state, "config": failed}
    site.database.write_now(
        lambda connection: beat(
            connection, msgspec.structs.replace(ROW, id="c", host="other", pid=1, state=state)
        )
    )
    shown = (await site.see("/admin/settings")).body.decode()
    for part in ("db &lt;1&gt;", "4711", "degraded", "retention", "generation 4", "9.9"):
        assert part in shown, part
    cells = re.findall(r"<td>(generation .*?)</td>", shown, re.DOTALL)
    assert sorted(cell.partition(" <")[0] for cell in cells) == ["generation 3", "generation 4"]
    assert sum("last reload failed" in cell for cell in cells) == 1
    asked = await site.see(f"{_HOST}/drain")
    assert b"What is under way is finished" in asked.body
    fields = {"for": "900", "reason": "<b>kernel"}
    done = await site.act(f"{_HOST}/drain", **fields)
    site.database.write_now(lambda connection: beat(connection, ROW))
    page = await site.follow(done)
    assert "<strong>db &lt;1&gt;</strong> is not ready any more" in page
    assert "by new-operator: &lt;b&gt;kernel" in page
    (drain,) = site.database.read_now(lambda connection: drains(connection, time.time()))
    assert (drain.target, drain.by, drain.reason) == ("host:db <1>", "new-operator", "<b>kernel")
    entry = site.noted()[-1]
    assert (entry["action"], entry["target"]) == ("process_drained", "host:db <1>")
    site.database.write_now(lambda connection: beat(connection, ROW))
    overview = (await site.see("/admin")).body.decode()
    assert "cannot share their limits" in overview
    assert "are drained" in overview
    page = await site.follow(await site.act(f"{_HOST}/enable"))
    assert "is ready for new requests again" in page
    assert site.noted()[-1]["action"] == "process_enabled"
    page = await site.follow(await site.act(f"{_HOST}/enable"))
    assert "Nothing has changed" in page
    path = f"/admin/processes/{ROW.id}"
    assert (await site.see(f"{path}/drain")).status == 200
    await site.follow(await site.act(f"{path}/drain", **fields))
    (drain,) = site.database.read_now(lambda connection: drains(connection, time.time()))
    assert drain.target == f"process:{ROW.id}"


async def test_what_is_not_there_cannot_be_drained(site: Acting) -> None:
    for path in ("/admin/hosts/none/drain", "/admin/processes/none/drain"):
        answer = await site.act(path)
        assert answer.status == 404
    site.database.write_now(lambda connection: beat(connection, ROW))
    for fields in ({"for": "0"}, {"for": "x"}, {"for": "99999999"}, {"reason": "a" * 201}):
        assert (await site.act(f"{_HOST}/drain", **fields)).status == 400
    assert site.database.read_now(lambda connection: drains(connection, time.time())) == []
