"""The dialect of Bedrock's Converse, its parts put together, and which path asks for which.

    POST /model/MODEL/converse           a whole answer
    POST /model/MODEL/converse-stream    a stream

The model stands in the path: it may be an ARN, with colons and slashes. So a dialect is
made for each request; `BEDROCK_CONVERSE` is for deployments.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

import msgspec

from ....errors import GatewayError
from ..base import Dialect, DialectRequest, HeaderList, ModelEntry, StreamRewriter
from ..defaults.plain_dialect import PlainDialect, headers_of
from . import errors
from .frames import KEEP_ALIVE
from .request import AskedModel, parse_converse

# What requests are signed for (botocore's model of the service, "signingName").
SERVICE: Final = "bedrock"
# What the paths of calls begin with, and that of the list of models (ListFoundationModels).
MODEL_PATH: Final = "/model/"
LIST_PATH: Final = "/foundation-models"
# ListInferenceProfiles: Claude Code looks there for the models that it may use.
PROFILES_PATH: Final = "/inference-profiles"
_PATH: Final = re.compile(r"/model/(.+)/converse(-stream)?", re.DOTALL)
_ENCODE: Final = msgspec.json.Encoder().encode


class BedrockConverse(PlainDialect):
    """See `base.Dialect`. `asked` is what the path says; without it, a request's body does."""

    name = "bedrock_converse"
    operation = "converse"
    keep_alive = KEEP_ALIVE
    stream_headers = headers_of(b"application/vnd.amazon.eventstream")
    provider_headers = frozenset({b"x-amzn-requestid", b"x-amzn-bedrock-invocation-latency"})
    # Its answers have no headers for limits. And it has no target for counts: CountTokens wants the
    # request inside of another object, so that prompts are estimated.
    # botocore, `response_metadata`.
    id_headers = (b"x-amzn-requestid",)
    # A second `messageStart` would be another message.
    opens_once = True
    # Clients raise at the exception, and read on until then.
    closes_failed = True

    def __init__(
        self, asked: AskedModel | None = None, path: str = "/model/MODEL/converse"
    ) -> None:
        self._asked = asked
        self.path = path

    def __repr__(self) -> str:
        return f"<Dialect {self.name} {self._asked!r}>"

    def read_request(self, body: bytes) -> DialectRequest:
        return parse_converse(body, self._asked)

    def error_reply(self, error: GatewayError, request_id: str = "") -> tuple[HeaderList, bytes]:
        return errors.error_reply(error, request_id)

    def error_event(
        self, message: str, code: str, kind: str, after: StreamRewriter | None = None
    ) -> bytes:
        return errors.error_event(message, code)

    def relayed_error_event(self, data: bytes, after: StreamRewriter | None = None) -> bytes:
        return errors.relayed_error_event(data)

    def refusal_body(self, status: int, message: str, *, too_long: bool) -> bytes:
        # The words by which clients know it (litellm `exception_mapping_utils.py`, among others).
        said = f"Input is too long for requested model. {message}" if too_long else message
        return errors.error_body(said)

    def model_list(self, entries: Sequence[ModelEntry], query: str = "") -> bytes:
        """Return what ListFoundationModels returns."""
        return _ENCODE({"modelSummaries": [_summary(each) for each in entries]})

    def model_entry(self, entry: ModelEntry) -> bytes:
        return _ENCODE({"modelDetails": _summary(entry)})

    def token_count(self, tokens: int) -> bytes:
        return b'{"inputTokens":%d}' % tokens

    def target(self, base_path: bytes, model: str, *, stream: bool) -> bytes:
        end = b"/converse-stream" if stream else b"/converse"
        return base_path + b"/model/" + quote(model, safe="").encode("ascii") + end

    def error_status(self, body: bytes) -> int | None:
        return errors.error_status(body)


def _summary(entry: ModelEntry) -> dict[str, object]:
    return {
        "modelArn": f"arn:aws:bedrock:::foundation-model/{entry.name}",
        "modelId": entry.name,
        "modelName": entry.name,
        "providerName": entry.owner,
        "inputModalities": ["TEXT"],
        "outputModalities": ["TEXT"],
        "responseStreamingSupported": True,
        "customizationsSupported": [],
        "inferenceTypesSupported": ["ON_DEMAND"],
        "modelLifecycle": {"status": "ACTIVE"},
    }


BEDROCK_CONVERSE: Final[Dialect] = BedrockConverse()


class InferenceProfiles(BedrockConverse):
    """The same list as that of profiles, which are asked like models."""

    def model_list(self, entries: Sequence[ModelEntry], query: str = "") -> bytes:
        return _ENCODE({"inferenceProfileSummaries": [_profile(each) for each in entries]})


INFERENCE_PROFILES: Final[Dialect] = InferenceProfiles(path=PROFILES_PATH)


def _profile(entry: ModelEntry) -> dict[str, object]:
    return {
        "inferenceProfileArn": f"arn:aws:bedrock:::inference-profile/{entry.name}",
        "inferenceProfileId": entry.name,
        "inferenceProfileName": entry.name,
        "models": [{"modelArn": f"arn:aws:bedrock:::foundation-model/{entry.name}"}],
        "status": "ACTIVE",
        "type": "SYSTEM_DEFINED",
    }


def dialect_of_path(path: str) -> Dialect | None:
    """Return the dialect of a request to `path`, which is decoded; None if it is none of its."""
    if path == PROFILES_PATH:
        return INFERENCE_PROFILES
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    asked = AskedModel(found[1], stream=found[2] is not None)
    return BedrockConverse(asked, path)
