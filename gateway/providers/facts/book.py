"""All models of one version of the data, by provider and by the provider's name of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Final
from urllib.parse import urlsplit

import msgspec

from ...core.records.pricing import Prices, Rate
from ..presets.catalogue import presets
from ..settings import Provider
from .fact import ModelFact

FORMAT: Final = 1
_SIZED: Final = re.compile(r"((?:[a-z]+/)?\d+-x-\d+)/(.+)")


class BookHead(msgspec.Struct, frozen=True, kw_only=True):
    """`source` and `version` say whose data it is made of, `made` when: YYYY-MM-DD.

    `licence` is the notice that goes with the data.
    """

    format: int = FORMAT
    source: str
    version: str
    made: str
    licence: str


Models = Mapping[str, Mapping[str, ModelFact]]


class _File(BookHead, frozen=True, kw_only=True):
    models: dict[str, msgspec.Raw]


class ModelBook:
    """The models by the names that the source has for their providers (a preset's `facts`).

    What is known of a provider's models is decoded when one of them is first asked for.
    """

    def __init__(self, head: BookHead, models: Mapping[str, msgspec.Raw]) -> None:
        self.head: Final = head
        self._raw = models
        self._models: dict[str, Mapping[str, ModelFact]] = {}
        self._sizes: dict[str, Mapping[str, list[tuple[str, Rate]]]] = {}

    def __repr__(self) -> str:
        return f"<ModelBook {self.label} of {self.head.made}>"

    @property
    def label(self) -> str:
        """Return what records call it."""
        return f"{self.head.source} {self.head.version}"

    @property
    def providers(self) -> Collection[str]:
        return self._raw.keys()

    def models_of(self, provider: str) -> Mapping[str, ModelFact]:
        """Return the models under one of the source's names of providers."""
        found = self._models.get(provider)
        if found is None:
            raw = self._raw.get(provider)
            found = self._models[provider] = {} if raw is None else _MODELS.decode(raw)
        return found

    def find(self, names: Sequence[str], model: str) -> ModelFact | None:
        """Return what is known of `model` under the first of a provider's `names` that has it.

        Only under its very name, the case of letters aside: a price that was guessed is none.
        """
        for name in names:
            known = self.models_of(name)
            fact = known.get(model) or known.get(model.lower())
            if fact is not None:
                return fact
        return None

    def of(self, provider: Provider, model: str) -> ModelFact | None:
        return self.find(fact_names(provider), model)

    def prices(self, provider: Provider, model: str) -> Prices | None:
        """Return the prices of `model`, those of its sizes too; None if none are known."""
        fact = self.of(provider, model)
        found = None if fact is None else fact.prices(self.label)
        sizes = self.sizes(fact_names(provider), model)
        if not sizes:
            return found
        base = Prices(source=self.label) if found is None else found
        return msgspec.structs.replace(base, units=(*base.units, *sizes))

    def batch_prices(self, provider: Provider, model: str) -> Prices | None:
        """Return the prices of `model` in batches; None if they are not known."""
        fact = self.of(provider, model)
        return None if fact is None else fact.batch_prices(f"{self.label}, batches")

    def sizes(self, names: Sequence[str], model: str) -> tuple[tuple[str, Rate], ...]:
        """Return what an image of `model` costs by its quality and size, or by its size alone."""
        for name in names:
            known = self._sizes.get(name)
            if known is None:
                known = self._sizes[name] = _sized(self.models_of(name))
            if found := known.get(model.lower()):
                return tuple(found)
        return ()


def _sized(models: Mapping[str, ModelFact]) -> Mapping[str, list[tuple[str, Rate]]]:
    """Return the prices by size of all `models`.

    The source has an entry for each size: `high/1024-x-1024/gpt-image-1`.
    """
    found: dict[str, list[tuple[str, Rate]]] = {}
    for name, fact in models.items():
        if (sized := _SIZED.fullmatch(name)) is not None:
            size = sized[1].replace("-x-", "x")
            found.setdefault(sized[2], []).extend(
                (f"{unit} {size}", rate) for unit, rate in fact.by_unit
            )
    return found


_MODELS: Final = msgspec.json.Decoder(dict[str, ModelFact])
_FILE: Final = msgspec.json.Decoder(_File)
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


def read_book(data: bytes) -> ModelBook:
    """Return a book of our own format. Raises ValueError with what is wrong."""
    try:
        file = _FILE.decode(data)
        book = ModelBook(file, file.models)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise ValueError(f"not in the format of models.json: {exc}") from exc
    if file.format != FORMAT:
        raise ValueError(f"has the format {file.format}, and this gateway reads {FORMAT}")
    return book


def check_book(book: ModelBook) -> int:
    """Return how many models there are, having read them all. Raises ValueError."""
    try:
        return sum(len(book.models_of(provider)) for provider in book.providers)
    except (msgspec.MsgspecError, RecursionError) as exc:
        raise ValueError(f"not in the format of models.json: {exc}") from exc


def written(head: BookHead, models: Models) -> bytes:
    """Return a book as a file with a line for each model, which is what a diff should show."""
    lines = [f"{_json(key)}: {_json(getattr(head, key))}," for key in head.__struct_fields__]
    lines.append('"models": {')
    for number, (provider, known) in enumerate(sorted(models.items())):
        lines.append(f"{',' if number else ''}{_json(provider)}: {{")
        lines.append(",\n".join(f"{_json(name)}: {_json(known[name])}" for name in sorted(known)))
        lines.append("}")
    return ("{\n" + "\n".join(lines) + "\n}}\n").encode()


def _json(value: object) -> str:
    return _ENCODER.encode(value).decode()


def fact_names(provider: Provider) -> tuple[str, ...]:
    """Return under which names the data have a provider's models; none if that is not known.

    By its preset, else by that of the same host or, without one, of its kind.
    """
    known = presets()
    if provider.preset:
        return known[provider.preset].facts
    if provider.base_url is None:
        own = known.get(provider.kind)
        return () if own is None else own.facts
    return _by_host().get(urlsplit(provider.base_url).hostname or "", ())


@cache
def _by_host() -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for preset in presets().values():
        host = urlsplit(preset.base_url or "").hostname
        if host and preset.facts and not preset.optional:
            found.setdefault(host, preset.facts)
    return found
