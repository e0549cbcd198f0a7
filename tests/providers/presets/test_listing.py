from __future__ import annotations

from gateway.providers.presets.catalogue import FILE, presets
from gateway.providers.presets.listing import listed, markdown, matches


def test_the_documentation_is_that_of_the_catalogue() -> None:
    page = FILE.parents[2] / "docs" / "providers.md"
    made = "`gateway providers --markdown > docs/providers.md` makes it anew"
    assert page.read_text(encoding="utf-8") == markdown(presets().values()), made


def test_what_is_listed_of_one() -> None:
    found = listed(presets()["mistral"], {"MISTRAL_API_KEY": "k"})
    assert (found.key_set, found.key_optional) == ("MISTRAL_API_KEY", False)
    assert "ids of tool calls have 9 letters and digits" in found.differs
    assert "usage in streams unasked" in found.differs
    assert listed(presets()["vllm"], {}).key_optional


def test_words_choose() -> None:
    chosen = [name for name, each in presets().items() if matches(each, ("RERANK", "voyage"))]
    assert chosen == ["voyage"]
    assert all(matches(each, ()) for each in presets().values())
