"""Why the gateway refused a request, as metrics tell it apart."""

from __future__ import annotations

from typing import Final

# Why the gateway itself refused, from the code of its error. A code that is not here stands for a
# request that no gateway could serve: `INVALID`.
REASONS: Final = {
    "rate_limit_exceeded": "rate_limit",
    "insufficient_quota": "budget",
    "overloaded": "overload",
    "queue_full": "queue",
    "queue_timeout": "queue",
    "upstream_timeout": "deadline",
    "no_healthy_upstream": "no_provider",
    "auth_unavailable": "no_provider",
    "invalid_api_key": "auth",
    "expired_api_key": "auth",
    "disabled_api_key": "auth",
    "invalid_signature": "auth",
    "signature_expired": "auth",
    "permission_denied": "permission",
    "too_many_refused_keys": "auth",
    "override_not_allowed": "permission",
    "origin_not_allowed": "permission",
    "host_not_allowed": "permission",
    "no_tokens": "permission",
    "model_not_found": "model",
    "request_too_large": "body",
    "request_timeout": "body",
    "server_shutting_down": "shutdown",
    "cancelled_by_operator": "cancelled",
    "loop_detected": "loop",
    "unsupported_content_type": "invalid",
    "expectation_failed": "invalid",
    "headers_too_large": "invalid",
    "method_not_supported": "invalid",
    "http_version_not_supported": "invalid",
}
INVALID: Final = "invalid"
