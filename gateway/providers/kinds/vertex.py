"""Vertex AI: Gemini, and Anthropic's models, with an account of Google Cloud.

A route's model is as Vertex has it: `gemini-2.5-pro`, `claude-sonnet-4-5@20250929`. Claude is asked
in Anthropic's Messages (`:rawPredict`, `:streamRawPredict`), all else in Gemini's API. Tokens come
from a file of credentials, or the application default credentials, and are fetched ahead of time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

import msgspec

from ...core.dialects.base import Dialect
from ...core.dialects.counting.counter import CountedAt, PromptCounter
from ...core.dialects.counting.counters import PLAIN_CONTENT, MessageCounter
from ...core.dialects.gemini.dialect import GEMINI_COUNT
from ...core.routing.call import Call
from ...core.routing.deployment import Deployment
from ...core.wire.body_fit import BodyFit
from ...core.wire.splice import splice
from .. import failures
from ..http_kind import HttpKind
from ..kind import Place, ProviderKind, RouteTerms
from ..settings import Provider, TokenSource
from ..tokens.sources import GoogleAccount
from .anthropic import Anthropic
from .gemini import Gemini

# Names of projects and places (cloud.google.com/resource-manager, "Creating and managing
# projects"); a domain stands before the colon of old ones.
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.:-]*")
_CLAUDE: Final = re.compile(r"^claude-")
# docs.anthropic.com, "Claude on Vertex AI": the version stands in the body, the model in the path.
_VERSION: Final = b'"vertex-2023-10-16"'
# The same: where all of Anthropic's models there are counted for.
_COUNT: Final = b"/models/count-tokens:rawPredict"


class VertexProvider(Provider, frozen=True):
    """`credentials_file` "" stands for the application default credentials."""

    project: str
    location: str = "global"
    credentials_file: str = ""

    @property
    def token_source(self) -> TokenSource | None:
        if self.oauth is not None or self.api_key or self.api_keys:
            return self.oauth
        return GoogleAccount(file=self.credentials_file)


class _Claude(Anthropic):
    from_callers = ((b"anthropic-beta", None),)

    def authorization(self, key: str) -> tuple[bytes, bytes]:
        return HttpKind.authorization(self, key)


class _Gemini(Gemini):
    def authorization(self, key: str) -> tuple[bytes, bytes]:
        return HttpKind.authorization(self, key)


_CLAUDES: Final = _Claude()
_GEMINIS: Final = _Gemini()


class Vertex(HttpKind):
    name = "vertex"
    settings = VertexProvider
    dialect: Dialect = Gemini.dialect
    refusals = failures.GEMINI

    def address(self, provider: Provider) -> str | None:
        assert isinstance(provider, VertexProvider)
        if provider.base_url is not None:
            return provider.base_url
        # cloud.google.com/vertex-ai/docs/reference/rest, service endpoints.
        before = "" if provider.location == "global" else f"{provider.location}-"
        return f"https://{before}aiplatform.googleapis.com"

    def problems(self, provider: Provider) -> Iterator[tuple[str, str]]:
        assert isinstance(provider, VertexProvider)
        for key in ("project", "location"):
            if not _NAME.fullmatch(getattr(provider, key)):
                yield key, f"is no name of a {key}; write one such as my-project or us-east5"
        if provider.credentials_file and (provider.oauth or provider.api_key or provider.api_keys):
            yield "credentials_file", "not together with a key or oauth; remove one of them"

    def describe(
        self, name: str, provider: Provider, place: Place, terms: RouteTerms
    ) -> Deployment:
        if not _CLAUDE.match(terms.model):
            google = _below(provider, place, "google")
            return _with_counter(_GEMINIS.describe(name, provider, google, terms))
        found = _CLAUDES.describe(name, provider, _below(provider, place, "anthropic"), terms)
        model = quote(terms.model, safe="@").encode("ascii")
        before = found.base_path + b"/models/" + model
        fit = found.fit or BodyFit()
        return msgspec.structs.replace(
            found,
            target=before + b":rawPredict",
            stream_target=before + b":streamRawPredict",
            targets={},
            # Another call counts there, with the model in its body.
            count_target=None,
            counter=CountedAt(found.base_path + _COUNT, VERTEX_MESSAGES),
            fit=msgspec.structs.replace(fit, rewrite=_of_vertex),
        )

    def models_call(self, name: str, provider: Provider, place: Place) -> Call:
        call = _GEMINIS.models_call(name, provider, place)
        # publishers.models.list: those of the model garden, of one publisher.
        return msgspec.structs.replace(call, target=b"/v1beta1/publishers/google/models")


def _below(provider: Provider, place: Place, publisher: str) -> Place:
    assert isinstance(provider, VertexProvider)
    path = f"/v1/projects/{provider.project}/locations/{provider.location}/publishers/{publisher}"
    return msgspec.structs.replace(place, base_url=place.base_url.rstrip("/") + path)


def _with_counter(found: Deployment) -> Deployment:
    """Return a deployment of Gemini's, whose counts are asked by the members of a request alone."""
    targets = dict(found.targets)
    target = targets.pop(GEMINI_COUNT.name)
    counter = CountedAt(target, PLAIN_CONTENT)
    return msgspec.structs.replace(found, targets=targets, counter=counter)


class VertexMessageCounter(MessageCounter):
    """Anthropic's, with the version in the body (anthropic-sdk-python `lib/vertex`)."""

    def body(self, chat: bytes, model_json: bytes) -> bytes:
        return splice(super().body(chat, model_json), put={"anthropic_version": _VERSION})


VERTEX_MESSAGES: Final[PromptCounter] = VertexMessageCounter()


def _of_vertex(body: bytes) -> bytes:
    return splice(body, put={"anthropic_version": _VERSION}, remove={"model"})


KIND: Final[ProviderKind] = Vertex()
