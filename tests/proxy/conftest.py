from __future__ import annotations

import pytest
import structlog
from structlog.testing import LogCapture

from gateway.proxy import failure


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> LogCapture:
    """Collect what exchanges log, whatever the process's logging is set up to."""
    capture = LogCapture()
    logger = structlog.wrap_logger(None, processors=[structlog.stdlib.add_log_level, capture])
    monkeypatch.setattr(failure, "_log", logger)
    return capture
