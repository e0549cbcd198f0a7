"""What came of something: said once to who did it, and to nobody whom an address was sent to."""

from __future__ import annotations

from gateway.dashboard.outcomes import WORDS
from gateway.store.engine.database import Database

from .actions.conftest import Acting


async def test_only_the_gateway_can_have_a_page_say_it(sqlite_database: Database) -> None:
    site = Acting(sqlite_database)
    answer = await site.act("/admin/models/p%2Fx/drain")
    target = answer.headers[b"location"].decode()
    assert "is drained" in await site.follow(answer)
    for other in (
        target.replace("of=p%2Fx", "of=p%2Fy"),
        target.replace("did=drained", "did=enabled"),
        target.partition("&seal")[0],
        f"{target.partition('&seal')[0]}&seal=%C3%A9",
        "/admin/models?did=nothing&of=x&seal=",
    ):
        page = await site.see(other)
        assert page.status == 200
        assert b'role="status"' not in page.body.split(b"<main", 1)[1].split(b"<h1", 1)[0], other
    # Somebody else's session has another token.
    assert b"is drained" not in (await site.see(target, "admin")).body.split(b"<h1", 1)[0]


def test_every_sentence_has_a_place_for_what_it_is_about() -> None:
    for state, text in WORDS.values():
        assert state in ("ok", "bad", "off")
        assert text.count("{}") == 1
