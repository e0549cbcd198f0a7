"""Everything that can go wrong, by whose fault it is.

    GatewayError                        has a status, a code and a type: can be shown to a caller
    ├── CallerError                     the request is at fault
    │   ├── InvalidRequest       400
    │   ├── AuthenticationFailed 401
    │   ├── PermissionDenied     403
    │   ├── NotFound             404    (ModelNotFound is one)
    │   ├── MethodNotAllowed     405
    │   ├── BodyTimeout          408
    │   ├── Conflict             409
    │   ├── PreconditionFailed   412
    │   ├── BodyTooLarge         413
    │   ├── ConfigurationRejected 422
    │   ├── UpgradeRequired      426
    │   ├── PreconditionRequired 428
    │   ├── RateLimited          429
    │   └── QuotaExceeded        429
    ├── UpstreamError                   the providers are at fault
    │   ├── ProvidersFailed      502
    │   ├── ProvidersRateLimited 429
    │   ├── ProvidersUnavailable 503
    │   └── ProvidersTimedOut    504
    └── GatewayFault                    we are
        ├── InternalError        500
        ├── ShuttingDown         503
        ├── CancelledByOperator  503
        ├── Overloaded           503
        └── StoreUnavailable     503

    ConfigError                         the configuration is at fault; says file, table and key

    ClientGone                          the caller's connection ended, by its hand...
    SendStalled                         ...or by ours, since it read nothing any more

`code` is what programs and logs read; `type` is OpenAI's coarse class (its guide on error codes).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class GatewayError(Exception):
    """An error with a place in the API.

    `should_retry` becomes the `x-should-retry` header, which the OpenAI SDK obeys over its own
    rule (openai-python `_base_client.py`); None leaves the rule to the client. `details` are
    members of the error beside those that every error has.
    """

    status: ClassVar[int] = 500
    code: str = "internal_error"
    type: str = "server_error"
    should_retry: ClassVar[bool | None] = None
    details: Mapping[str, Any] = {}

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after
        if code is not None:
            self.code = code

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status} {self.code}: {self.message}>"


# The caller is at fault...


class CallerError(GatewayError):
    status = 400
    type = "invalid_request_error"


class InvalidRequest(CallerError):
    code = "invalid_request"


class AuthenticationFailed(CallerError):
    status = 401
    code = "invalid_api_key"


class PermissionDenied(CallerError):
    status = 403
    code = "permission_denied"


class NotFound(CallerError):
    status = 404
    code = "not_found"


class ModelNotFound(NotFound):
    code = "model_not_found"


class MethodNotAllowed(CallerError):
    status = 405
    code = "method_not_allowed"

    def __init__(self, message: str, *, allow: str) -> None:
        super().__init__(message)
        self.allow = allow


class UpgradeRequired(CallerError):
    status = 426
    code = "upgrade_required"


class BodyTimeout(CallerError):
    status = 408
    code = "request_timeout"


class Conflict(CallerError):
    """What was asked for cannot be done to what is there, such as a second user of one name."""

    status = 409
    code = "conflict"
    should_retry: ClassVar[bool | None] = False


class PreconditionFailed(CallerError):
    """Somebody else has changed it since the caller read it (RFC 9110, 13.1.1)."""

    status = 412
    code = "changed_meanwhile"


class PreconditionRequired(CallerError):
    """A change must say with If-Match what it was made of (RFC 6585, 3)."""

    status = 428
    code = "if_match_required"


class BodyTooLarge(CallerError):
    status = 413
    code = "request_too_large"


class ConfigurationRejected(CallerError):
    """A reload was asked for, and the file has `problems`: the old configuration stays in use."""

    status = 422
    code = "invalid_configuration"
    should_retry: ClassVar[bool | None] = False

    def __init__(self, problems: Sequence[str]) -> None:
        message = "the configuration was not reloaded, the old one stays in use: "
        super().__init__(message + "; ".join(problems))
        self.details = {"problems": problems}


class RateLimited(CallerError):
    """A limit of the caller's own. `type` is the dimension, as OpenAI says it."""

    status = 429
    code = "rate_limit_exceeded"

    def __init__(self, message: str, *, kind: str, retry_after: float | None) -> None:
        super().__init__(message, retry_after=retry_after)
        self.type = kind

    @property
    def should_retry(self) -> bool:  # type: ignore[override]
        """Say yes to a wait that is worth it; a request that never fits gets none."""
        return self.retry_after is not None and self.retry_after <= 60


class QuotaExceeded(CallerError):
    """The caller's budget is spent, or reserved for requests under way; OpenAI's words for it."""

    status = 429
    code = "insufficient_quota"
    type = "insufficient_quota"

    @property
    def should_retry(self) -> bool:  # type: ignore[override]
        """Say yes to a short wait: until requests under way have ended, or the window has."""
        return self.retry_after is not None and self.retry_after <= 60


# The providers are at fault...


class UpstreamError(GatewayError):
    status = 502
    type = "upstream_error"
    # We have used up our own attempts: a client that retries would multiply them.
    should_retry: ClassVar[bool | None] = False


class ProvidersFailed(UpstreamError):
    code = "all_providers_failed"


class ProvidersRateLimited(UpstreamError):
    status = 429
    code = "rate_limit_exceeded"
    type = "rate_limit_error"
    # False once the retry budget is spent: the client's retries would be no better.
    worth_a_retry = True

    @property
    def should_retry(self) -> bool:  # type: ignore[override]
        """Say yes to a wait that is worth it; OpenAI's SDK would sleep through two minutes."""
        return self.worth_a_retry and (self.retry_after is None or self.retry_after <= 60)


class ProvidersUnavailable(UpstreamError):
    """No provider was asked: every breaker is open, every key set aside, every place taken.

    `retry_after` says when one may be; then a client's retry costs nothing.
    """

    status = 503
    code = "no_healthy_upstream"

    @property
    def should_retry(self) -> bool:  # type: ignore[override]
        return self.retry_after is not None and self.retry_after <= 60


class ProvidersTimedOut(UpstreamError):
    status = 504
    code = "upstream_timeout"


# We are at fault...


class GatewayFault(GatewayError):
    pass


class InternalError(GatewayFault):
    pass


class ShuttingDown(GatewayFault):
    status = 503
    code = "server_shutting_down"


class CancelledByOperator(GatewayFault):
    status = 503
    code = "cancelled_by_operator"
    should_retry: ClassVar[bool | None] = False


class Overloaded(GatewayFault):
    """More than we, or what we allow a provider, can take. Give it a jittered `retry_after`."""

    status = 503
    code = "overloaded"


class StoreUnavailable(GatewayFault):
    """The database cannot be used now: locked, full, unreachable, or it took too long."""

    status = 503
    code = "store_unavailable"


class ConfigError(Exception):
    """One or more faults in a configuration file, each a full sentence to show a person."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def out_of_memory(exc: BaseException) -> bool:
    """Say whether `exc` is a lack of memory, or has one among its causes in a group."""
    if isinstance(exc, BaseExceptionGroup):
        return any(map(out_of_memory, exc.exceptions))
    return isinstance(exc, MemoryError)


class ClientGone(Exception):
    """The caller closed its connection; no answer is read any more."""


class SendStalled(OSError):
    """The caller took nothing for `send_timeout` and has been dropped."""
