"""Requests of Converse, held against botocore's own model of the service."""

from __future__ import annotations

import base64
import json
from typing import Any

from botocore.validate import ParamValidator

from .frames import MODEL


def validated(body: bytes, operation: str = "Converse") -> dict[str, Any]:
    """Return a request's body; raises where botocore would refuse it."""
    found: dict[str, Any] = json.loads(body)
    given = {"modelId": "m"} | {key: value for key, value in found.items() if key != "stream"}
    shape = MODEL.operation_model(operation).input_shape
    report = ParamValidator().validate(_blobs(given, shape), shape)
    if report.has_errors():
        raise AssertionError(report.generate_report())
    return found


def _blobs(value: Any, shape: Any) -> Any:
    """Return `value` with base64 as bytes, as boto3 is given it."""
    if shape.type_name == "structure" and isinstance(value, dict):
        if getattr(shape, "is_document_type", False):
            return value
        return {
            key: _blobs(each, shape.members[key]) if key in shape.members else each
            for key, each in value.items()
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [_blobs(each, shape.member) for each in value]
    if shape.type_name == "blob":
        return base64.b64decode(value, validate=True)
    return value
