"""What the admin API reloads, scripted."""

from __future__ import annotations

from gateway.config.reload_status import ReloadOutcome, ReloadStatus
from gateway.config.schema import Config


class Scripted:
    """Answers every reload with `outcome`. `causes` are those it was given."""

    def __init__(self, outcome: ReloadOutcome | None = None, config: Config | None = None) -> None:
        self.reload_status = ReloadStatus(
            "/etc/gateway/config.toml", 1, "2026-11-23T08:00:00.000+00:00"
        )
        self.config = config or Config()
        self.causes: list[str] = []
        self._outcome = outcome or ReloadOutcome(2)

    async def reload_everywhere(self, cause: str) -> ReloadOutcome:
        self.causes.append(cause)
        return self._outcome
