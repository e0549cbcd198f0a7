"""Files of pages: all that is referred to is there, with licences, and small."""

from __future__ import annotations

import re

from gateway.dashboard.assets import Assets, read_assets


def test_an_address_changes_with_the_content_and_with_what_a_style_refers_to() -> None:
    one = Assets({"a.css": b'x { src: url("f.woff2") }', "f.woff2": b"1"})
    two = Assets({"a.css": b'x { src: url("f.woff2") }', "f.woff2": b"2"})
    assert one.url("f.woff2") != two.url("f.woff2")
    assert one.url("a.css") != two.url("a.css")
    found = one.find(one.url("a.css").removeprefix("/admin/static/"))
    assert found is not None
    # Seen from the style, wherever the pages are.
    assert one.url("f.woff2").replace("/admin/static/", "../").encode() in found.body
    assert found.gzipped is not None
    assert one.find("a.css") is None


def test_what_is_vendored_has_a_licence_and_loads_nothing() -> None:
    assets = read_assets()
    for name in ("htmx", "uplot", "geist", "lucide"):
        found = assets.find(assets.url(f"vendor/{name}.LICENSE").removeprefix("/admin/static/"))
        assert found is not None
        assert len(found.body) > 300
    for name in ("app.css", "app.js", "vendor/uPlot.min.css"):
        found = assets.find(assets.url(name).removeprefix("/admin/static/"))
        assert found is not None
        assert not re.search(rb"https?://(?!www\.w3\.org)", found.body), name
