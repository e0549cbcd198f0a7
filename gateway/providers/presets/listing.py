"""The catalogue as rows: what `gateway providers` and docs/providers.md show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from .preset import Preset

_BEGINNING = """\
# Providers

<!-- Generated from gateway/providers/catalog.toml by `gateway providers --markdown`. -->

Each name is a preset: `[providers.NAME]` with nothing else takes it, if the variable of its key is
set. [configuration.md](configuration.md#presets) says how a file goes on from there,
[adding-a-provider.md](adding-a-provider.md) how to add one. What differs from the API that a
provider speaks is dealt with by its `quirks`.

"""


class ListedPreset(msgspec.Struct, frozen=True):
    """A preset as it is listed. `key_set` is the variable that holds its key, if one is set."""

    name: str
    title: str
    kind: str
    base_url: str | None
    apis: tuple[str, ...]
    key: tuple[str, ...]
    key_set: str | None
    key_optional: bool
    deprecated: str
    limits: str
    docs: str
    differs: tuple[str, ...]


def listed(preset: Preset, environ: Mapping[str, str]) -> ListedPreset:
    return ListedPreset(
        name=preset.name,
        title=preset.title,
        kind=preset.kind,
        base_url=preset.base_url,
        apis=preset.apis,
        key=preset.key,
        key_set=preset.variable(environ),
        key_optional=preset.optional or not preset.key,
        deprecated=preset.deprecated,
        limits=preset.limits,
        docs=preset.docs,
        differs=tuple(_differences(preset)),
    )


def matches(preset: Preset, words: Iterable[str]) -> bool:
    """Say whether every one of `words` stands in a preset: its name, APIs, kind or address."""
    text = " ".join(
        (preset.name, preset.title, preset.kind, preset.base_url or "", *preset.apis, *preset.key)
    ).lower()
    return all(word.lower() in text for word in words)


def markdown(presets: Iterable[Preset]) -> str:
    """Return docs/providers.md."""
    out = [
        _BEGINNING,
        "| preset | | kind | key | APIs | differs |\n|---|---|---|---|---|---|\n",
    ]
    for preset in presets:
        title = f"[{preset.title}]({preset.docs})"
        if preset.deprecated:
            title += f" **deprecated**: {preset.deprecated}"
        if preset.limits:
            title += f"; limits: {preset.limits}"
        keys = " or ".join(f"`{each}`" for each in preset.key)
        if preset.optional:
            keys += ", if set"
        differs = "; ".join(_differences(preset))
        cells = (f"`{preset.name}`", title, preset.kind, keys, ", ".join(preset.apis), differs)
        out.append(f"| {' | '.join(cells)} |\n")
    return "".join(out)


def _differences(preset: Preset) -> Iterator[str]:
    """Yield in words what its table says of it beside where it is."""
    quirks = preset.table.get("quirks", {})
    if refuses := quirks.get("refuses"):
        yield f"refuses {', '.join(refuses)}"
    for name, other in quirks.get("renames", {}).items():
        yield f"{name} is {other}"
    if form := quirks.get("tool_ids"):
        yield f"ids of tool calls have {form}"
    if rule := quirks.get("usage"):
        yield f"usage: {rule.replace('_', ' ')}"
    if header := quirks.get("key_header"):
        yield f"key in {header}"
    if most := quirks.get("max_body_bytes"):
        yield f"bodies of {most} bytes at most"
    if quirks.get("codes") or quirks.get("words"):
        yield "codes of errors of its own"
    if preset.table.get("stream_usage") is False:
        yield "usage in streams unasked"
