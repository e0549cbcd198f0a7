"""The ASGI application for Hypercorn's own command line: `hypercorn -k trio gateway.app:app`.

The configuration comes from the file that `GATEWAY_CONFIG` names, else from `./config.toml`.
`gateway serve` needs no module to import and puts the same parts together by itself.
"""

from __future__ import annotations

from .process.application import Application
from .process_limits import settle_limits

settle_limits()
app = Application().install()
