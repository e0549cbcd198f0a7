"""Amazon's errors, read and written (docs.aws.amazon.com/bedrock, "Common errors").

An answer's error has its type in the header `x-amzn-errortype` and a message in its body; a stream
ends in a frame whose header has the type. Clients raise by the type.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ....errors import GatewayError
from ..base import HeaderList
from ..error_words import decoded, error_headers, read_error
from .frames import exception_frame

_ENCODE: Final = msgspec.json.Encoder().encode
_JSON: Final = (b"content-type", b"application/json")

# botocore's model of the service, "errors" of Converse and ConverseStream.
_TYPES: Final = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    402: "ServiceQuotaExceededException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
    504: "ModelTimeoutException",
    529: "ServiceUnavailableException",
}
# By the type's name without its ending, in small letters: those of streams begin with a small one.
_STATUS_OF: Final = {
    "validation": 400,
    "unrecognizedclient": 401,
    "invalidsignature": 401,
    "expiredtoken": 401,
    "servicequotaexceeded": 400,
    "accessdenied": 403,
    "resourcenotfound": 404,
    "modeltimeout": 408,
    "modelerror": 424,
    "modelstreamerror": 424,
    "throttling": 429,
    "modelnotready": 429,
    "toomanyrequests": 429,
    "internalserver": 500,
    "internalfailure": 500,
    "serviceunavailable": 503,
}
# What the gateway ends a stream for, by its codes; anything else is the provider's failure.
_IN_STREAM: Final = {
    "server_shutting_down": "serviceUnavailableException",
    "overloaded": "serviceUnavailableException",
    "no_healthy_upstream": "serviceUnavailableException",
    "rate_limit_exceeded": "throttlingException",
}
_BROKEN: Final = "modelStreamErrorException"
# The exceptions that a stream may end in (`ConverseStreamOutput`).
_OF_STREAMS: Final = {
    400: "validationException",
    429: "throttlingException",
    500: "internalServerException",
    503: "serviceUnavailableException",
}
_MODELLED: Final = frozenset({_BROKEN, *_OF_STREAMS.values()})


def error_type(status: int) -> str:
    """Return the type of an error with `status`."""
    return _TYPES.get(status) or (
        "ValidationException" if status < 500 else "InternalServerException"
    )


def error_body(message: str) -> bytes:
    return _ENCODE({"message": message})


def error_reply(error: GatewayError, request_id: str = "") -> tuple[HeaderList, bytes]:
    """Return the headers and the body that show `error`."""
    kind = (b"x-amzn-errortype", error_type(error.status).encode("ascii"))
    return [_JSON, kind, *error_headers(error)], error_body(error.message)


def error_event(message: str, code: str) -> bytes:
    """Return the frame at which clients raise."""
    return exception_frame(_IN_STREAM.get(code, _BROKEN), error_body(message))


def relayed_error_event(data: bytes) -> bytes:
    """Return the frame of an error as `stream.py` has it: its type beside its own members."""
    found = decoded(data)
    if not isinstance(found, dict):
        return exception_frame(_BROKEN, error_body("the provider reports an error"))
    name = found.pop("__type", None)
    if not isinstance(name, str) or not name.isascii() or not name.isalpha():
        name = _OF_STREAMS.get(error_status(data) or 0, _BROKEN)
    known = name in _MODELLED
    return exception_frame(name, _ENCODE(found), None if known else read_error(data))


def error_status(body: bytes) -> int | None:
    """Return the HTTP status that an error's type stands for; None if it has none."""
    found = decoded(body)
    if not isinstance(found, dict):
        return None
    # `com.amazon.coral.service#ThrottlingException:http://...` (smithy.io, "AWS JSON 1.1 protocol",
    # operation error serialization).
    name = found.get("__type") or found.get("code")
    if not isinstance(name, str):
        return None
    short = name.rpartition("#")[2].partition(":")[0].lower().removesuffix("exception")
    return _STATUS_OF.get(short) or _STATUS_OF.get(short.removesuffix("error"))
