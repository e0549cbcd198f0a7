"""`config.toml` of this folder: every key with its default, and the demo as its one provider."""

from __future__ import annotations

from pathlib import Path
from typing import Final

SHIPPED: Final = Path(__file__).with_name("config.toml")
