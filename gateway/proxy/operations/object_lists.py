"""A list of objects, of which a caller gets its own.

A provider lists those of a whole account, so that a page may have none of the caller's, and clients
take an empty page for the end. So pages are asked for until there are as many as were wanted.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qs, urlencode

import msgspec

from ...core.dialects.recognised.kin import cursor
from ...core.objects.ids import decoded
from ...core.routing.call import Call
from ...transport_errors import ProtocolViolation
from ..attempts.reading.body import readable
from ..exchange import Exchange
from ..relayed.held_answer import held

# Pages of a hundred objects each.
MOST_PAGES: Final = 20
_USUAL: Final = 20
_LARGEST: Final = 100


class OwnedPage:
    """One page of what the caller of `exchange` has, of the list that `call` asks for."""

    def __init__(self, exchange: Exchange, call: Call, query: bytes) -> None:
        self._exchange = exchange
        self._call = call
        asked = parse_qs(query.decode("latin-1")).get("limit", [""])[-1]
        self._wanted = int(asked[:9]) if asked.isdigit() else _USUAL

    async def owned(self, body: bytes) -> bytes:
        """Return the page that begins with the provider's `body`. Raises UpstreamFailure."""
        first = page = self._page(body)
        mine: list[Any] = []
        more = False
        for _ in range(MOST_PAGES):
            objects = page["data"]
            kept = await self._exchange.services.objects.find(
                [each["id"] for each in objects if isinstance(each.get("id"), str)]
            )
            own = {each.id for each in kept if each.owner == self._exchange.caller.name}
            mine += [each for each in objects if each.get("id") in own]
            more = bool(page.get("has_more")) and bool(objects)
            if len(mine) >= self._wanted or not more:
                break
            page = await self._following(objects[-1]["id"])
        more = more or len(mine) > self._wanted
        mine = mine[: self._wanted]
        found = {**first, "data": mine, "has_more": more and bool(mine)}
        for name, each in (("first_id", mine[:1]), ("last_id", mine[-1:])):
            if name in first:
                found[name] = each[0]["id"] if each else None
        return msgspec.json.encode(found)

    def _page(self, body: bytes) -> dict[str, Any]:
        page = decoded(body)
        if not isinstance(page, dict) or not isinstance(page.get("data"), list):
            raise ProtocolViolation("the list of objects has no data")
        if not all(isinstance(each, dict) for each in page["data"]):
            raise ProtocolViolation("the list of objects has something else in it")
        return page

    async def _following(self, after: str) -> dict[str, Any]:
        path, _, query = self._call.target.partition(b"?")
        asked = parse_qs(query.decode("latin-1"), keep_blank_values=True)
        name = cursor(self._exchange.dialect)
        asked[name], asked["limit"] = [after], [str(_LARGEST)]
        target = path + b"?" + urlencode(asked, doseq=True).encode("ascii")
        call = msgspec.structs.replace(self._call, target=target)
        response = readable(await self._exchange.services.upstream.request(call))
        if response.status >= 400:
            await response.aclose()
            raise ProtocolViolation(f"the list of objects broke off with {response.status}")
        return self._page((await held(response)).body)
