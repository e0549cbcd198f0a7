"""The part of the configuration that the server needs."""

from __future__ import annotations

from ...config.schema import Config
from ...serve.policy import ServingPolicy


def serving_policy(config: Config) -> ServingPolicy:
    server, overload = config.server, config.overload
    return ServingPolicy(
        send_timeout=server.send_timeout,
        keep_alive_timeout=server.keep_alive_timeout,
        max_requests_per_connection=server.max_requests_per_connection,
        header_timeout=server.header_timeout,
        drain_delay=server.drain_delay,
        drain_timeout=server.drain_timeout,
        wait=overload.lag,
        burst_wait=overload.lag_max,
        max_message_bytes=server.max_body_bytes,
        proxy_protocol=server.proxy_protocol,
        trusted_proxies=server.trusted_proxies,
    )
