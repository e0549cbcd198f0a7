"""`gateway prices`: what models cost by the data that the gateway goes by, and newer data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from cyclopts import App, Parameter

from ....config.paths import config_path
from ....config.sources.state import find_state, make_folder
from ....core.records.audit import AuditAction, AuditResult
from ....errors import ConfigError
from ....providers.facts.book import ModelBook
from ....providers.facts.current import current_book
from ....providers.presets.catalogue import presets
from ...audit_entry import by_operator, record_action
from ...options import ConfigFile, Flag
from ...output.columns import print_columns
from ..check import report
from ..reload import tell_running
from .repricing import reprice

if TYPE_CHECKING:
    from ....providers.facts.fact import ModelFact, PriceRow

_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")
_WITH_DATA: Final = (
    "The configuration file, whose state folder may hold newer data. Default: $GATEWAY_CONFIG,"
    " else ./config.toml."
)

app = App(name="prices", help="Prices and limits of models: what is known, and newer data.")


app.command(reprice)


@app.command
def show(
    model: str,
    /,
    *,
    json: Flag = False,
    config: Annotated[ConfigFile, Parameter(help=_WITH_DATA)] = None,
) -> int:
    """Print what is known of a model, at every provider that has it.

    Parameters
    ----------
    model
        The provider's name for it, or PRESET/MODEL for one provider's alone.
    json
        Print it as JSON, exact to the digit.
    """
    try:
        book = current_book(_folder(config or config_path()))
    except (OSError, ValueError) as exc:
        report(ConfigError([str(exc)]))
        return 1
    found = _found(book, model)
    if not found:
        sys.stderr.write(f"error: nothing is known of a model {model!r} ({book.label})\n")
        return 1
    if json:
        rows: list[dict[str, Any]] = [
            {"provider": preset, "model": name, "source": book.label, **_plain(fact)}
            for preset, name, fact in found
        ]
        encoded = _ENCODER.encode(rows)
        sys.stdout.write(msgspec.json.format(encoded, indent=2).decode() + "\n")
        return 0
    for preset, name, fact in found:
        sys.stdout.write(f"{preset}/{name}\n")
        sizes = book.sizes(presets()[preset].facts, name)
        print_columns([("", "INPUT", "OUTPUT", "CACHED", "WRITTEN", "1 H"), *_rows(fact)])
        for line in [*_facts(fact), *(f"USD by the {unit}: {rate}" for unit, rate in sizes)]:
            sys.stdout.write(f"  {line}\n")
    sys.stdout.write(f"USD per million tokens; {book.label} of {book.head.made}\n")
    return 0


@app.command
def update(source: str, /, *, force: Flag = False, config: ConfigFile = None) -> int:
    """Take newer data on models from a file or a URL; running gateways are told to reload.

    It is in the format of the package's models.json, or LiteLLM's table of models
    (model_prices_and_context_window.json).

    Parameters
    ----------
    source
        A path, or a URL that begins with https:// (http:// on this machine).
    force
        Take it even if it knows less than half of the models that are known now.
    """
    from ....process.catalogue.new_book import fetched, placed

    file = config or config_path()
    ended, details = AuditResult.FAILED, {"source": source}
    try:
        folder = _folder(file)
        make_folder(folder, file)
        told = placed(fetched(source), source, folder, force=force)
        ended, details = AuditResult.OK, details | told
    except ConfigError as exc:
        report(exc)
        return 1
    finally:
        record_action(file, by_operator(AuditAction.PRICES_UPDATED, ended, source, **details))
    sys.stdout.write(
        f"{told['label']} of {told['made']}: {told['models']} models of {told['providers']}"
        f" providers, in {folder}\n"
    )
    return tell_running(file) if file.exists() else 0


def _folder(file: Path) -> Path:
    return find_state(file) or file.absolute().parent


def _found(book: ModelBook, model: str) -> list[tuple[str, str, ModelFact]]:
    """Return the presets that have the model, its name there, and what is known of it."""
    first, slash, rest = model.partition("/")
    if slash and first in presets():
        fact = book.find(presets()[first].facts, rest)
        if fact is not None:
            return [(first, rest, fact)]
    found, seen = [], set()
    for name, preset in presets().items():
        fact = book.find(preset.facts, model)
        # Several presets may be one vendor's, at several addresses.
        if fact is not None and not preset.deprecated and preset.facts not in seen:
            seen.add(preset.facts)
            found.append((name, model, fact))
    return found


def _plain(fact: ModelFact) -> dict[str, Any]:
    return msgspec.json.decode(_ENCODER.encode(fact), type=dict[str, msgspec.Raw])


def _rows(fact: ModelFact) -> list[tuple[str, ...]]:
    found = [] if fact.price is None else [("", *_cells(fact.price))]
    found += [(f"above {each.above}", *_cells(each)) for each in fact.tiers]
    if fact.batch is not None:
        found.append(("batch", *_cells(fact.batch)))
    return found


def _cells(row: PriceRow) -> tuple[str, ...]:
    rates = (row.input, row.output, row.cached_input, row.cache_write, row.cache_write_1h)
    return tuple("" if rate is None else str(rate) for rate in rates)


def _facts(fact: ModelFact) -> list[str]:
    lines = []
    if fact.price is not None:
        others = (
            *("input_audio", "output_audio", "input_image", "output_image"),
            "cached_input_audio",
        )
        lines += [
            f"{name.replace('_', ' ')}: {rate}"
            for name in others
            if (rate := getattr(fact.price, name)) is not None
        ]
    lines += [f"USD by the {unit}: {amount}" for unit, amount in fact.units.items()]
    if fact.context is not None:
        lines.append(f"context: {fact.context} tokens")
    if fact.output is not None:
        lines.append(f"answer: at most {fact.output} tokens")
    if fact.can:
        lines.append(f"can: {', '.join(fact.can)}")
    if fact.cannot:
        lines.append(f"cannot: {', '.join(fact.cannot)}")
    if fact.retires is not None:
        then = f"; then {fact.successor}" if fact.successor else ""
        lines.append(f"retires: {fact.retires}{then}")
    return lines
