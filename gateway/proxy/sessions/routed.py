"""A session for a model: attempts over its deployments, until one of them has said something."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ...config.snapshot import ServedModel
from ...core.routing.call import BodySource, Call
from ...core.routing.causes import Try
from ...core.routing.deployment import Credential, Deployment
from ..exchange import Exchange
from ..options import ServingOptions
from ..relayed.attempt import AttemptTerms, Passage, PassedCall
from ..relayed.incoming import IncomingBody
from ..relayed.routed import RoutedRelay
from .attempt import SessionAttempt, SessionTerms

# What says of a call's body how it is to be taken: an opening has none, and its answer neither.
_OF_BODIES = frozenset({b"accept", b"accept-encoding", b"content-type"})


class _Opening:
    """The body of a call that has none; `mark` tells the session from others."""

    live = False

    def __init__(self, mark: bytes) -> None:
        self.mark = mark

    def held_for(self, deployment: Deployment) -> bytes:
        return b""

    def source_for(self, deployment: Deployment) -> BodySource | None:
        return None


class RoutedSession(RoutedRelay):
    """Serves one session over the deployments of `model`."""

    def __init__(
        self,
        exchange: Exchange,
        model: ServedModel,
        options: ServingOptions,
        session: SessionTerms,
    ) -> None:
        incoming = IncomingBody(session.socket, 0, 0.0)
        incoming.ended = True
        mark = (session.first or "").encode() or session.query
        super().__init__(exchange, model, options, incoming, _Opening(mark))
        self._session = session
        self._until = exchange.started + options.timeout

    def _passage(self, step: Try) -> Passage | None:
        exchange, number, model = self._exchange, step.target, self._model
        deployment = model.deployments[number]
        if not deployment.takes(self._session.dialect):
            return None
        terms = AttemptTerms(
            # A session ends by bounds of its own, not by those of a request.
            self._until,
            model.targets,
            number,
            step.wait,
            self._later,
            self._source,
        )
        passed = PassedCall(
            deployment,
            model.targets[number],
            self._describer(deployment),
            self._incoming,
            demand=self._options.demand,
        )
        self._trail.begin(number)
        exchange.settlement.fell_back(model.fallback(number))
        return SessionAttempt(exchange, passed, terms, self._session, exchange.services.upstream)

    def _describer(self, deployment: Deployment) -> Callable[[Credential], Call]:
        exchange, session = self._exchange, self._session
        dialect = session.dialect

        def describe(credential: Credential) -> Call:
            call = deployment.call(
                b"",
                exchange.request_id,
                stream=False,
                credential=credential,
                extra=deployment.forwarded(exchange.headers),
                dialect=dialect.name,
            )
            own = tuple(pair for pair in call.headers if pair[0] not in _OF_BODIES)
            decided = {name for name, _ in own}
            passed = tuple(
                (name, value)
                for name, value in exchange.headers.items()
                if name in dialect.session_headers and name not in decided
            )
            target = dialect.session_target(call.target, deployment.model, session.query)
            return msgspec.structs.replace(
                call, method=b"GET", target=target, headers=(*own, *passed), unlike=True
            )

        return describe
