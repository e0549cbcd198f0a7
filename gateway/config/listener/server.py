"""The table `[server]`: where the gateway listens, and what it takes from a connection."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ...core.routing.timeouts import Seconds
from ..value_types import Name, Positive


class ServerTls(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """PEM files, relative to the configuration file; `client_ca`: clients must have its word."""

    cert: Annotated[str, Meta(min_length=1)]
    key: Annotated[str, Meta(min_length=1)]
    client_ca: str = ""


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    bind: str = "127.0.0.1:8080"
    max_body_bytes: Annotated[int, Meta(ge=1024)] = 32 * 1024 * 1024
    max_upload_bytes: Annotated[int, Meta(ge=1024)] = 1024 * 1024 * 1024
    max_event_bytes: Annotated[int, Meta(ge=1024)] = 16 * 1024 * 1024
    max_response_bytes: Annotated[int, Meta(ge=1024)] = 64 * 1024 * 1024
    body_timeout: Positive = 30.0
    send_timeout: Positive = 30.0
    header_timeout: Positive = 10.0
    keep_alive_timeout: Positive = 75.0
    max_requests_per_connection: Annotated[int, Meta(ge=0)] = 1000
    keep_alive_comment: Seconds = 15.0
    # Of a session over WebSocket: how long it may be, and silent while no answer is under way.
    session_timeout: Seconds = 3600.0
    session_idle_timeout: Seconds = 600.0
    drain_delay: Seconds = 5.0
    drain_timeout: Seconds = 120.0
    request_id_header: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]*\Z", max_length=64)] = (
        "x-request-id"
    )
    # The folder of all that is written; relative to the configuration file, whose folder it is
    # by default.
    state_dir: str = ""
    # Relative to `state_dir`; "" = none. `open`: to have no tokens is meant.
    pid_file: str = "gateway.pid"
    # What the answer of a fallback model calls its model: that one, or the one asked for.
    answer_model: Literal["served", "asked"] = "served"
    open: bool = False
    # Members of a body by which every caller may choose models, routes or destinations there.
    overrides: tuple[Name, ...] = ()
    # Providers that every caller may ask for anything, at /passthrough/.
    passthrough: tuple[Name, ...] = ()
    # What the secrets of tokens' access keys for Amazon's SDKs follow from; "" = there are none.
    aws_secret: str = ""
    # Addresses, networks or "unix": whose word about the client's address is believed.
    trusted_proxies: tuple[str, ...] = ()
    # Each connection begins with a PROXY header, version 1 or 2.
    proxy_protocol: bool = False
    tls: ServerTls | None = None
