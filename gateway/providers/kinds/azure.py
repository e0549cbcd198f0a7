"""Azure OpenAI, by its v1 API or by deployments with a version.

`base_url` is that of the resource: https://NAME.openai.azure.com, or that of a proxy before it. A
route's model is the name of a deployment. Without `api_version` calls go to `/openai/v1`, which has
all operations (learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle); with one to
`/openai/deployments/NAME`. A key is shown as `api-key`. Entra's tokens come by `oauth`, with the
scope https://cognitiveservices.azure.com/.default, or by the machine's managed identity.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Final
from urllib.parse import quote

import msgspec
from msgspec import Meta

from ...core.dialects.base import Dialect
from ...core.dialects.counting.counter import CountedAt
from ...core.dialects.openai_numbers.dialect import OPENAI_MODERATIONS
from ...core.dialects.openai_responses.dialect import OPENAI_INPUT_TOKENS, OPENAI_KEPT_RESPONSES
from ...core.routing.call import Call
from ...core.routing.deployment import Deployment
from .. import failures
from ..kind import Place, ProviderKind, RouteTerms
from ..openai_compatible import OpenAICompatible, OpenAIProvider
from ..settings import Provider, TokenSource
from ..tokens.sources import ManagedIdentity

# What stands behind the resource in addresses that people copy.
_PATH: Final = re.compile(rb"/openai(?:/.*)?$")
_PLACEHOLDER: Final = "https://NAME.openai.azure.com"
# Of these the model stands in the body or in the query.
_WITHOUT_DEPLOYMENT: Final = (b"/responses", b"/realtime")
KEPT: Final = (OPENAI_KEPT_RESPONSES, OPENAI_INPUT_TOKENS)


class AzureProvider(OpenAIProvider, frozen=True):
    """`api_version` is that of calls by deployment; "" asks the v1 API.

    `managed_identity` has the machine's own tokens fetched.
    """

    api_version: Annotated[
        str, Meta(pattern=r"^(|\d{4}-\d\d-\d\d(-preview)?|preview|latest)\Z", description="a date")
    ] = ""
    managed_identity: ManagedIdentity | None = None

    @property
    def token_source(self) -> TokenSource | None:
        return self.oauth or self.managed_identity


class Azure(OpenAICompatible):
    name = "azure"
    settings = AzureProvider
    refusals = failures.OPENAI_COMPATIBLE

    def problems(self, provider: Provider) -> Iterator[tuple[str, str]]:
        assert isinstance(provider, AzureProvider)
        if provider.base_url is None:
            yield "base_url", f"missing; it is that of the resource, such as {_PLACEHOLDER}"
        if provider.managed_identity is not None and (
            provider.oauth is not None or provider.api_key or provider.api_keys
        ):
            yield "managed_identity", "not together with a key or oauth; remove one of them"

    def notes(self, provider: Provider) -> Iterator[tuple[str, str]]:
        yield from ()

    def authorization(self, key: str) -> tuple[bytes, bytes]:
        return b"api-key", key.encode("latin-1")

    def describe(
        self, name: str, provider: Provider, place: Place, terms: RouteTerms
    ) -> Deployment:
        assert isinstance(provider, AzureProvider)
        found = super().describe(name, provider, place, terms)
        root = _PATH.sub(b"", found.base_path)

        def at(target: bytes) -> bytes:
            return _target(root, target.removeprefix(found.base_path), terms.model, provider)

        def at_counter(counter: CountedAt) -> CountedAt:
            return msgspec.structs.replace(counter, target=at(counter.target))

        return msgspec.structs.replace(
            found,
            target=at(found.target),
            stream_target=at(found.stream_target),
            targets={dialect: at(target) for dialect, target in found.targets.items()},
            counter=None if (counter := found.counter) is None else at_counter(counter),
            base_path=_base(root, provider),
        )

    def operations(self, provider: Provider, terms: RouteTerms) -> tuple[Dialect, ...]:
        assert isinstance(provider, AzureProvider)
        # Moderations are of OpenAI alone. What it keeps is reached by the v1 API.
        without = {OPENAI_MODERATIONS, *((*KEPT,) if provider.api_version else ())}
        return tuple(each for each in super().operations(provider, terms) if each not in without)

    def models_call(self, name: str, provider: Provider, place: Place) -> Call:
        assert isinstance(provider, AzureProvider)
        call = super().models_call(name, provider, place)
        root = _PATH.sub(b"", call.target.removesuffix(self.models_path.encode()))
        return msgspec.structs.replace(call, target=root + b"/openai/v1/models")


def _base(root: bytes, provider: AzureProvider) -> bytes:
    return root + (b"/openai" if provider.api_version else b"/openai/v1")


def _target(root: bytes, rest: bytes, model: str, provider: AzureProvider) -> bytes:
    """Return where a call goes that goes to `rest` with OpenAI."""
    if not provider.api_version:
        return root + b"/openai/v1" + rest
    version = b"?api-version=" + provider.api_version.encode("ascii")
    if rest.startswith(_WITHOUT_DEPLOYMENT):
        return root + b"/openai" + rest + version
    named = b"/openai/deployments/" + quote(model, safe="").encode("ascii")
    return root + named + rest + version


KIND: Final[ProviderKind] = Azure()
