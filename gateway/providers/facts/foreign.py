"""LiteLLM's table of models (`model_prices_and_context_window.json`, MIT) as ours.

Its prices are USD for one token. Ours are for a million, with nine decimals at the most: some of
its numbers were computed and end in what binary fractions leave over. A price that is there for one
token and 0 is kept: that is free. What is priced by neither tokens nor one of `_UNITS` is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from .fact import ModelFact, PriceRow, TierRow

_PER_TOKEN: Final = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cached_input": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
    "input_audio": "input_cost_per_audio_token",
    "output_audio": "output_cost_per_audio_token",
    "input_image": "input_cost_per_image_token",
    "output_image": "output_cost_per_image_token",
    "cached_input_audio": "cache_read_input_audio_token_cost",
}
_UNITS: Final = {
    "query": "input_cost_per_query",
    "image_in": "input_cost_per_image",
    "image_out": "output_cost_per_image",
    "second_in": "input_cost_per_second",
    "second_out": "output_cost_per_second",
    "character_in": "input_cost_per_character",
    "character_out": "output_cost_per_character",
}
_FLAGS: Final = {
    "images": "supports_vision",
    "documents": "supports_pdf_input",
    "audio": "supports_audio_input",
    "tools": "supports_function_calling",
    "parallel_tools": "supports_parallel_function_calling",
    "structured_output": "supports_response_schema",
    "thinking": "supports_reasoning",
}
_ABOVE: Final = re.compile(r"input_cost_per_token_above_(\d+)k_tokens")
_MODES: Final = frozenset(
    {
        *("chat", "responses", "completion", "embedding", "rerank", "moderation", "realtime"),
        *("image_generation", "image_edit", "audio_transcription", "audio_speech"),
    }
)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_THOUSAND: Final = 1000
_MILLION: Final = 10**6
_PLACES: Final = Decimal("1e-9")
# More than any model has: a number beyond it is a mistake in the table.
_MOST_TOKENS: Final = 10**9


def is_foreign(found: object) -> bool:
    """Say whether decoded JSON looks like LiteLLM's table."""
    return isinstance(found, dict) and any(
        isinstance(each, dict) and "litellm_provider" in each for each in found.values()
    )


def read_json(data: bytes) -> Any:
    """Decode JSON with numbers as they are written. Raises ValueError."""
    return json.loads(data, parse_float=Decimal)


def convert(
    found: Mapping[str, Any], providers: Collection[str] | None = None
) -> dict[str, dict[str, ModelFact]]:
    """Return the models of LiteLLM's table, by provider; only of `providers`, if given.

    An entry that is not in its form is passed over.
    """
    books: dict[str, dict[str, ModelFact]] = {}
    for name, entry in found.items():
        if not isinstance(entry, dict):
            continue
        provider = entry.get("litellm_provider")
        if not isinstance(provider, str) or entry.get("mode") not in _MODES:
            continue
        if providers is not None and provider not in providers:
            continue
        models = books.setdefault(provider, {})
        models[_own_name(name, provider)] = _fact(entry)
    return books


def _own_name(name: str, provider: str) -> str:
    """Return the provider's name of a model, without the prefix that LiteLLM tells it by."""
    prefix, slash, rest = name.partition("/")
    known = {provider, provider.partition("-")[0], provider.removesuffix("_chat")}
    return rest if slash and prefix in known else name


def _fact(entry: Mapping[str, Any]) -> ModelFact:
    price = _row(entry, "") or _first_range(entry)
    return ModelFact(
        mode=entry["mode"],
        price=price,
        tiers=tuple(_tiers(entry, price)) if price is not None else (),
        batch=_row(entry, "_batches"),
        units={
            unit: value
            for unit, key in _UNITS.items()
            if (value := _amount(entry.get(key))) is not None
        },
        context=_tokens(entry.get("max_input_tokens")),
        output=_tokens(entry.get("max_output_tokens")),
        can=tuple(flag for flag, key in _FLAGS.items() if entry.get(key) is True),
        cannot=tuple(flag for flag, key in _FLAGS.items() if entry.get(key) is False),
        retires=_date(entry.get("deprecation_date")),
        successor=_text(entry.get("successor_model")),
    )


def _row(entry: Mapping[str, Any], suffix: str) -> PriceRow | None:
    found = _rates(entry, suffix)
    return PriceRow(**found) if found else None


def _first_range(entry: Mapping[str, Any]) -> PriceRow | None:
    ranges = dict(_ranges(entry.get("tiered_pricing")))
    return PriceRow(**ranges[0]) if ranges.get(0) else None


def _rates(entry: Mapping[str, Any], suffix: str) -> dict[str, Decimal]:
    return {
        name: rate
        for name, key in _PER_TOKEN.items()
        if (rate := _rate(entry.get(f"{key}{suffix}"))) is not None
    }


def _tiers(entry: Mapping[str, Any], base: PriceRow) -> Iterator[TierRow]:
    """Yield the prices of long prompts, which hold for all tokens of the request.

    What a tier says nothing of costs what it always does.
    """
    known = {name: getattr(base, name) for name in _PER_TOKEN}
    above = sorted(int(match[1]) for key in entry if (match := _ABOVE.fullmatch(key)))
    for thousands in above:
        rates = known | _rates(entry, f"_above_{thousands}k_tokens")
        yield TierRow(above=thousands * _THOUSAND, **rates)
    if above:
        return
    # Alibaba's: by ranges, of which the first is the base.
    for each in _ranges(entry.get("tiered_pricing")):
        start, rates = each
        if start:
            yield TierRow(above=start, **(known | rates))


def _ranges(found: object) -> Iterator[tuple[int, dict[str, Decimal]]]:
    for each in found if isinstance(found, list) else ():
        if isinstance(each, dict) and isinstance(each.get("range"), list) and each["range"]:
            start = each["range"][0]
            if isinstance(start, int | Decimal):
                yield int(start), _rates(each, "")


def _rate(value: object) -> Decimal | None:
    amount = _amount(value)
    return None if amount is None else _plain((amount * _MILLION).quantize(_PLACES))


def _amount(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    found = Decimal(value)
    return _plain(found) if found.is_finite() and found >= 0 else None


def _plain(amount: Decimal) -> Decimal:
    """Return the same number as it would be written by hand: 3 and 0.15, not 3E+0 and 0.1500."""
    return Decimal(f"{amount.normalize():f}")


def _tokens(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 < value < _MOST_TOKENS else None


def _date(value: object) -> str | None:
    return value if isinstance(value, str) and _DATE.fullmatch(value) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
