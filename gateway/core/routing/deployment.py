"""A deployment: one provider's one model, ready to be called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping

import msgspec

from ..dialects.base import Dialect, ReasoningForm
from ..dialects.counting.counter import CountedAt
from ..dialects.model_terms import USUAL, ModelTerms
from ..records.counting import UsageRule
from ..records.pricing import Prices
from ..wire.body_fit import BodyFit
from ..wire.hops import HOP
from ..wire.overrides import NO_OVERRIDES, Overrides
from .call import Call, Headers, Origin
from .capabilities.declared import Capabilities
from .refusals import RefusalTable
from .timeouts import Timeouts, deadline


class Credential(msgspec.Struct, frozen=True):
    """One key's headers of a call, which differ in `accept`.

    `id` is derived from the key's digest, so that what is known of a key outlives a reload;
    `label` is for people and never holds any of the key.
    """

    stream_headers: Headers
    plain_headers: Headers
    id: str = ""
    label: str = "key 1"


# Completes a call that its headers alone do not: signs it, or adds a token that expires. Gets
# the credential and Unix time in seconds. Raises CredentialUnavailable.
Prepare = Callable[[Call, Credential, float], Awaitable[Call]]


# Puts what an answer's headers say of it into its body, where those of its dialect have it.
Completed = Callable[[Iterable[tuple[bytes, bytes]], bytes], bytes]


# Is told that the provider has answered a call with 401; says whether the next call will have
# another token.
Renew = Callable[[Call], bool]


class Deployment(msgspec.Struct, frozen=True):
    """All that a call needs but the body, prepared once when the configuration is loaded.

    `model_json` is the provider's model name as JSON. `pattern` is the model as it stands in
    the route, if that ends in `*`: what is known of the deployment is kept under it, since
    callers could make up names without end. `dialect` is what the provider speaks; its streams
    and its whole answers may have targets of their own. `targets` are those of the other dialects
    that the provider takes as they come, by their names: embeddings beside chat, say. `prepare`
    is None where the headers of a credential are all that a call needs, and `renew` where what it
    adds cannot be replaced. `from_callers` are headers that go on from a caller's request, each
    with its value for a caller that has none (None: it is left out then). `count_target` is where a
    prompt's tokens are counted, if it does that. `capabilities` is None where none restricts what
    it can serve. `base_path` is what the paths of its API begin with. `overrides` are the members
    of a body by which its provider would let callers choose for themselves. `reasoning` to `terms`
    are for requests in another dialect (`dialects.base.ForeignRecipient`). `fit` is what a body
    must be changed in, None where nothing, and `usage_rule` how its counts of tokens are added up.
    `context` and `longest_answer` are its model's, in tokens, as far as they are known. `completed`
    is None where an answer's body says all that is read of it.
    """

    provider: str
    model: str
    model_json: bytes
    origin: Origin
    dialect: Dialect
    target: bytes
    stream_target: bytes
    refusals: RefusalTable
    credentials: tuple[Credential, ...]
    timeouts: Timeouts
    prices: Prices
    method: bytes = b"POST"
    prepare: Prepare | None = None
    renew: Renew | None = None
    weight: float = 1.0
    stream_usage: bool = True
    pattern: str | None = None
    targets: Mapping[str, bytes] = {}
    from_callers: tuple[tuple[bytes, bytes | None], ...] = ()
    count_target: bytes | None = None
    capabilities: Capabilities | None = None
    base_path: bytes = b""
    overrides: Overrides = NO_OVERRIDES
    reasoning: ReasoningForm = "none"
    default_max_tokens: int = 8192
    max_output_tokens: int | None = None
    drops: bool = False
    caches_prompts: bool = False
    terms: ModelTerms = USUAL
    fit: BodyFit | None = None
    usage_rule: UsageRule = "usual"
    context: int | None = None
    longest_answer: int | None = None
    completed: Completed | None = None
    counter: CountedAt | None = None

    def takes(self, dialect: Dialect) -> bool:
        """Say whether a request in `dialect` can be sent to it."""
        return dialect.name == self.dialect.name or dialect.name in self.targets

    def counted_in(self, dialect: Dialect) -> Deployment:
        """Return what would be asked in `dialect`, for a count of what a request can say in it."""
        return msgspec.structs.replace(self, dialect=dialect, drops=True)

    @property
    def name(self) -> str:
        """Return what people know it by."""
        return f"{self.provider}/{self.model}"

    @property
    def answers_by(self) -> tuple[object, ...]:
        """Return what decides what it is asked: kept answers of one with other terms are others."""
        terms = (self.reasoning, self.drops, self.caches_prompts, self.terms, self.capabilities)
        return (self.name, self.origin, self.target, *terms)

    @property
    def state_key(self) -> str:
        """Return the key of everything that is kept per deployment."""
        return f"{self.provider}/{self.pattern or self.model}"

    def credential(self, id: str) -> Credential:
        """Return the credential `id`; the first, if a reload has taken that one away."""
        for credential in self.credentials:
            if credential.id == id:
                return credential
        return self.credentials[0]

    def forwarded(self, headers: Mapping[bytes, bytes]) -> Headers:
        """Return what goes on of a caller's `headers`, by lower-case name."""
        found = [(name, headers.get(name, default)) for name, default in self.from_callers]
        if chain := headers.get(HOP):
            found.append((HOP, chain))
        return tuple((name, value) for name, value in found if value is not None)

    def call(
        self,
        body: bytes,
        request_id: bytes,
        *,
        stream: bool,
        credential: Credential | None = None,
        extra: Headers = (),
        dialect: str = "",
    ) -> Call:
        """Describe a call with `body`; `dialect` is what its request was made in."""
        key = credential or self.credentials[0]
        headers = key.stream_headers if stream else key.plain_headers
        target = self.stream_target if stream else self.target
        return Call(
            origin=self.origin,
            method=self.method,
            target=self.targets.get(dialect, target),
            # OpenAI logs this one for support (platform.openai.com/docs/api-reference,
            # "Supplying your own request ID"); others ignore it.
            headers=(*headers, (b"x-client-request-id", request_id), *extra),
            body=body,
            connect_timeout=self.timeouts.connect,
        )


class Deadlines(msgspec.Struct, frozen=True, gc=False):
    """When a request that began at `started` must be over, by the number of its deployment.

    A caller may ask for less time than the configuration gives, never for more: `latest`. Time
    in which the gateway was `stopped` since it began does not count, unless the caller counts it.
    """

    deployments: tuple[Deployment, ...]
    started: float
    latest: float
    stopped: Callable[[], float] = float  # which returns 0.0

    def __call__(self, number: int) -> float:
        total = self.deployments[number].timeouts.total
        return min(deadline(self.started + self.stopped(), total), self.latest)
