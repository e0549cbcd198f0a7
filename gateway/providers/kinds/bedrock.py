"""Amazon Bedrock: models that chat by its Converse API, those for vectors and ranks by InvokeModel.

Its calls show a Bedrock API key, or are signed with an access key. A route's model is a model's id,
an inference profile's with the region before it (`us.anthropic.claude-...`), or the ARN of one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import quote

import msgspec

from ...core.dialects.base import Dialect, ReasoningForm
from ...core.dialects.bedrock_converse.dialect import BEDROCK_CONVERSE
from ...core.dialects.bedrock_invoke.cohere import body_of, with_counts
from ...core.dialects.bedrock_invoke.dialect import (
    COHERE_EMBED_AT_AMAZON,
    INVOKED_COHERE_EMBED,
    INVOKED_RERANK,
    TITAN_EMBED,
)
from ...core.dialects.counting.counter import CountedAt
from ...core.dialects.counting.counters import CONVERSE
from ...core.dialects.model_terms import ModelTerms
from ...core.routing.call import Call
from ...core.routing.capabilities.declared import Capabilities
from ...core.routing.deployment import Credential, Deployment
from ...core.wire.body_fit import BodyFit
from .. import failures
from ..aws.signing import AccessKey, signer, token_signer
from ..http_kind import HttpKind
from ..kind import Place, ProviderKind, RouteTerms
from ..model_terms import anthropic_terms
from ..overrides import BEDROCK as OVERRIDES
from ..settings import Provider, TokenSource
from ..tokens.sources import DEFAULT_PROFILE, AwsAccount
from .anthropic import KIND as ANTHROPIC

_REGION: Final = re.compile(r"[a-z]{2,4}(?:-[a-z]+)+-\d")
_ROLE: Final = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", re.ASCII)
_HOST_REGION: Final = re.compile(r"//bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.")
_CLAUDE: Final = re.compile(r"claude-[a-z0-9.-]+")
# docs.aws.amazon.com/nova, "Extended thinking": from version 2 on.
_NOVA_THINKS: Final = re.compile(r"amazon\.nova-(?:2|[3-9])")
_EFFORT: Final = re.compile(r"openai\.gpt-oss")
# What stands before a model's id in that of a profile, and before that in its ARN.
_PROFILE: Final = re.compile(
    r"^(?:arn:.*inference-profile/)?(?:us|us-gov|eu|apac|jp|au|ca|sa|global)\."
)
# What answers with numbers, by its name wherever that stands in an id, a profile's or an ARN.
_TITAN: Final = re.compile(r"titan-embed-")
_COHERE_EMBED: Final = re.compile(r"cohere\.embed-")
_FOURTH: Final = re.compile(r"cohere\.embed-v[4-9]")
_RERANK: Final = re.compile(r"\.rerank-")
_CHINA: Final = "cn-"


class BedrockProvider(Provider, frozen=True):
    """`region` is where calls go, unless `base_url` says so; the access key is what signs them.

    Or that of a `profile`, "default" for whatever Amazon's SDKs find; or of a role that either may
    assume.
    """

    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    profile: str | None = None
    role_arn: str | None = None
    external_id: str | None = None

    @property
    def token_source(self) -> TokenSource | None:
        if self.profile is None and self.role_arn is None:
            return super().token_source
        return AwsAccount(
            region=self.signed_region(),
            profile=self.profile or DEFAULT_PROFILE,
            role=self.role_arn or "",
            external_id=self.external_id or "",
            key=self.access_key,
        )

    @property
    def access_key(self) -> AccessKey | None:
        if self.access_key_id is None or self.secret_access_key is None:
            return None
        return AccessKey(self.access_key_id, self.secret_access_key, self.session_token)

    @property
    def signs(self) -> bool:
        return self.access_key_id is not None

    def signed_region(self) -> str:
        """Return the region of signatures: what the table says, else what its address does."""
        if self.region is not None:
            return self.region
        found = _HOST_REGION.search(self.base_url or "")
        return "us-east-1" if found is None else found[1]


class Bedrock(HttpKind):
    name = "bedrock"
    settings = BedrockProvider
    dialect = BEDROCK_CONVERSE
    refusals = failures.BEDROCK
    overrides = OVERRIDES
    models_path = "/foundation-models"

    def problems(self, provider: Provider) -> Iterator[tuple[str, str]]:
        assert isinstance(provider, BedrockProvider)
        if provider.region is None and provider.base_url is None:
            yield "region", 'is missing, as in region = "us-east-1"'
        elif provider.region is not None and not _REGION.fullmatch(provider.region):
            yield "region", f"{provider.region!r} is no region; write one like us-east-1"
        if (provider.access_key_id is None) != (provider.secret_access_key is None):
            missing = "secret_access_key" if provider.signs else "access_key_id"
            yield missing, "is missing: access_key_id and secret_access_key are a pair"
        if provider.session_token is not None and not provider.signs:
            yield "session_token", "goes with access_key_id and secret_access_key"
        if provider.signs and (provider.api_key or provider.api_keys):
            yield "api_key", "is a Bedrock API key, and there is an access key as well: keep one"
        yield from _account_problems(provider)

    def address(self, provider: Provider) -> str | None:
        assert isinstance(provider, BedrockProvider)
        if provider.base_url is not None:
            return provider.base_url
        end = "amazonaws.com.cn" if (provider.region or "").startswith(_CHINA) else "amazonaws.com"
        return f"https://bedrock-runtime.{provider.region}.{end}"

    def describe(
        self, name: str, provider: Provider, place: Place, terms: RouteTerms
    ) -> Deployment:
        assert isinstance(provider, BedrockProvider)
        found = super().describe(name, provider, place, terms)
        if _COHERE_EMBED.search(terms.model):
            fit = msgspec.structs.replace(found.fit or BodyFit(), rewrite=_body_of(terms.model))
            found = msgspec.structs.replace(found, fit=fit, completed=with_counts)
        if place.token is not None and isinstance(provider.token_source, AwsAccount):
            sign = token_signer(place.token, "bedrock", provider.signed_region())
            return msgspec.structs.replace(found, prepare=sign, renew=None)
        key = provider.access_key
        if key is None:
            return found
        (only,) = found.credentials
        known: Credential = msgspec.structs.replace(only, id=key.digest, label="the access key")
        sign = signer(key, "bedrock", provider.signed_region())
        return msgspec.structs.replace(found, prepare=sign, credentials=(known,))

    def operations(self, provider: Provider, terms: RouteTerms) -> tuple[Dialect, ...]:
        model = terms.model
        if _TITAN.search(model):
            return (TITAN_EMBED,)
        if _COHERE_EMBED.search(model):
            return (COHERE_EMBED_AT_AMAZON, INVOKED_COHERE_EMBED)
        return (INVOKED_RERANK,) if _RERANK.search(model) else ()

    def counter(self, provider: Provider, terms: RouteTerms, path: bytes) -> CountedAt | None:
        if self.operations(provider, terms):
            return None
        # Models count, and profiles of regions do not: a model's id is in the names of both.
        model = _PROFILE.sub("", terms.model)
        return CountedAt(
            b"%b/model/%b/count-tokens" % (path, quote(model, safe="").encode()), CONVERSE
        )

    def models_call(self, name: str, provider: Provider, place: Place) -> Call:
        # The list is at another host than the models (docs.aws.amazon.com/general, "Bedrock
        # endpoints").
        call = super().models_call(name, provider, place)
        host = call.origin.host.replace("bedrock-runtime", "bedrock", 1)
        return msgspec.structs.replace(call, origin=msgspec.structs.replace(call.origin, host=host))

    def reasoning_of(self, model: str) -> ReasoningForm:
        if claude := _CLAUDE.search(model):
            assert isinstance(ANTHROPIC, HttpKind)
            return ANTHROPIC.reasoning_of(claude[0])
        return "effort" if _NOVA_THINKS.search(model) or _EFFORT.search(model) else "none"

    def terms_of(
        self,
        model: str,
        host: str,
        dialect: Dialect,
        can: Capabilities,
        refused: frozenset[str],
    ) -> ModelTerms:
        claude = _CLAUDE.search(model)
        if claude is None:
            return super().terms_of(model, host, dialect, can, refused)
        # Anthropic's servers search the web, Amazon's do not.
        return anthropic_terms(claude[0], host, searches=bool(can.web_search))

    def usual_max_tokens(self, model: str) -> int:
        if claude := _CLAUDE.search(model):
            assert isinstance(ANTHROPIC, HttpKind)
            return ANTHROPIC.usual_max_tokens(claude[0])
        return 4096

    def capabilities_of(self, model: str) -> Capabilities:
        # A model's name stands behind its vendor's and that of a region.
        return super().capabilities_of(model.rpartition("/")[2].rpartition("anthropic.")[2])


def _body_of(model: str) -> Callable[[bytes], bytes]:
    fourth = _FOURTH.search(model) is not None
    return lambda body: body_of(body, fourth=fourth)


def _account_problems(provider: BedrockProvider) -> Iterator[tuple[str, str]]:
    for name in ("profile", "role_arn"):
        if getattr(provider, name) is None:
            continue
        if provider.api_key or provider.api_keys or provider.oauth:
            yield name, "signs the calls, and there is a key as well: keep one"
        if not _has_botocore():
            yield name, "needs botocore, which finds the credentials: add the extra bedrock"
    if provider.profile is not None and provider.signs:
        yield "profile", "has an access key of its own: keep it, or access_key_id"
    if provider.role_arn is not None and not _ROLE.fullmatch(provider.role_arn):
        yield "role_arn", "is no role's: write one like arn:aws:iam::123456789012:role/gateway"
    if provider.external_id is not None and provider.role_arn is None:
        yield "external_id", "goes with role_arn"
    if provider.signs and not _has_botocore():
        yield "access_key_id", "needs botocore, which signs the calls: add the extra bedrock"


def _has_botocore() -> bool:
    from importlib.util import find_spec

    return find_spec("botocore") is not None


KIND: Final[ProviderKind] = Bedrock()
