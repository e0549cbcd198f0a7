"""Make models.json, and the notice beside it, of the wheel that scripts/models has brought."""

from __future__ import annotations

import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

from gateway.providers.facts.book import BookHead, written
from gateway.providers.facts.current import BUNDLED
from gateway.providers.facts.foreign import convert, read_json
from gateway.providers.presets.catalogue import presets

TABLE = "litellm/model_prices_and_context_window_backup.json"


def main(wheel: Path) -> None:
    version = wheel.name.split("-")[1]
    with zipfile.ZipFile(wheel) as archive:
        table = archive.read(TABLE)
        made = datetime(*archive.getinfo(TABLE).date_time[:3], tzinfo=UTC)
        notice = next(
            archive.read(name).decode()
            for name in archive.namelist()
            if name.endswith("/licenses/LICENSE")
        )
    if made.year < 2020:  # a wheel without times of its files
        made = datetime.now(UTC)
    wanted = {name for preset in presets().values() for name in preset.facts}
    models = convert(read_json(table), wanted)
    head = BookHead(
        source="litellm",
        version=version,
        made=made.strftime("%Y-%m-%d"),
        licence="MIT, Copyright (c) 2023 Berri AI; see models.json.license",
    )
    BUNDLED.write_bytes(written(head, models))
    beside = BUNDLED.with_name(f"{BUNDLED.name}.license")
    beside.write_text(
        f"models.json is made of {TABLE} of LiteLLM {version}\n"
        f"(github.com/BerriAI/litellm), which is under this licence:\n\n{notice}"
    )
    count = sum(map(len, models.values()))
    print(f"litellm {version}: {count} models of {len(models)} providers")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
