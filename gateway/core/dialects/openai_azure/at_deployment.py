"""Requests whose model stands in their path, as clients of Azure OpenAI send them.

    POST /openai/deployments/MODEL/chat/completions?api-version=2024-10-21

Azure reads the model from the path, whatever the body says (learn.microsoft.com, "Azure OpenAI REST
API reference"); some clients leave it out there. So the path's is put into the body before that is
read.
"""

from __future__ import annotations

import msgspec

from ...wire.splice import InvalidJSON, members, splice
from ..base import Dialect, DialectRequest
from ..openai_chat.dialect import OpenAIDialect


class AtDeployment(OpenAIDialect):
    """The dialect `inner`, of OpenAI's, for requests to `model`."""

    def __init__(self, inner: Dialect, model: str) -> None:
        self.name = inner.name
        self.operation = inner.operation
        self.path = inner.path
        self._inner = inner
        self._model = msgspec.json.encode(model)

    def read_request(self, body: bytes) -> DialectRequest:
        try:
            found = members(body)
        except (InvalidJSON, RecursionError):
            # What is wrong with it is said by its reader.
            return self._inner.read_request(body)
        return self._inner.read_request(splice(body, put={"model": self._model}, known=found))
