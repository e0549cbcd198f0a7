"""An app for `hypercorn -k trio`, which installs our connections when it is imported."""

from __future__ import annotations

from gateway.lifecycle import Lifecycle
from gateway.serve.install import install
from gateway.serve.policy import ServingPolicy

from .ticking import Ticking

_lifecycle = Lifecycle()
_connections = install(lambda: ServingPolicy(drain_delay=0.2, drain_timeout=5), _lifecycle)
app = Ticking(_lifecycle, _connections.watch)
