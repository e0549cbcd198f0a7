"""One attempt at a session: the lease, the opening, the provider's first word, then the session.

It can fail, and another deployment take its place, until the provider has said something: then the
caller is accepted, if the model was known without its first message. A provider that says nothing
of its own accord is given a moment, and taken as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import msgspec
import trio

from ...config.snapshot import Snapshot
from ...core.dialects.sessions.base import SessionDialect, SessionOpening, SessionTalk
from ...core.records.pricing import FREE
from ...core.records.record import EndReason
from ...core.records.usage import summed
from ...core.routing.balancing.homes import Home
from ...core.routing.call import Call
from ...core.routing.causes import Cause
from ...core.routing.timeouts import deadline
from ...core.wire.binary.socket_frames import (
    FAILED,
    GOING_AWAY,
    POLICY,
    SocketClose,
    SocketFrame,
    SocketRefused,
)
from ...stops import RunningScope
from ...transport_errors import UpstreamFailure
from ..attempts.answer_headers import provider_headers
from ..attempts.attempt import failed_by
from ..attempts.log import AttemptLog
from ..attempts.own_keys import KeyMask, mask_of
from ..attempts.reading.reported_error import reported_error
from ..exchange import Exchange
from ..outcomes import Committed, Failed, RelayEnd
from ..relayed.attempt import AttemptTerms, Passage, PassedCall
from ..relayed.held_answer import HeldAnswer
from .guard import SessionGuard
from .messages import MessageParts, masked
from .notes import SessionNotes
from .relay import Check, SessionBounds, SessionRelay
from .sockets import CallerSocket, ProviderSocket, SocketOpener

# Seconds for a provider to greet a caller, as OpenAI does at once.
GREETING: Final = 2.0
_SWITCHED: Final = 101
_LEAST_ERROR: Final = 400
_CLOSES: Final = {EndReason.SHUTTING_DOWN: GOING_AWAY, EndReason.CANCELLED: POLICY}


class SessionTerms(msgspec.Struct, frozen=True):
    """What all attempts at one session have in common.

    `first` is the message that has named the model; None where the opening did.
    """

    socket: CallerSocket
    dialect: SessionDialect
    opening: SessionOpening
    name: str
    key: bytes | None
    check: Check
    current: Callable[[], Snapshot | None]
    notes: SessionNotes
    query: bytes = b""
    first: str | None = None


class SessionAttempt(Passage):
    """See `Passage`, whose call it makes as the opening of a WebSocket."""

    def __init__(
        self,
        exchange: Exchange,
        passed: PassedCall,
        terms: AttemptTerms,
        session: SessionTerms,
        opener: SocketOpener,
    ) -> None:
        super().__init__(exchange, passed, terms)
        self._session = session
        self._opener = opener
        self._frames: SessionRelay | None = None
        self._kept: tuple[str, ...] = ()
        self._talk: SessionTalk = session.dialect.talk(
            session.name, passed.deployment, session.query
        )

    async def _attempt(self, upload_nursery: trio.Nursery) -> RelayEnd | None:
        log, deployment = self.log, self._passed.deployment
        assert log is not None
        call = self._passed.describe(log.lease.credential)
        call = msgspec.structs.replace(call, headers=(*call.headers, *log.trace_headers))
        opened: ProviderSocket | Failed
        try:
            if deployment.prepare is not None:
                call = await deployment.prepare(call, log.lease.credential, time.time())
            opened = await self._open(call)
        except UpstreamFailure as exc:
            opened = failed_by(exc)
        mask = mask_of(call.headers)
        if isinstance(opened, Failed):
            log.outcome = mask.failed(opened)
            return None
        try:
            return await self._served(log, opened, mask)
        finally:
            opened.abort()

    async def _open(self, call: Call) -> ProviderSocket | Failed:
        """Return the provider's side, or why there is none."""
        seconds = self._passed.deployment.timeouts.first_event
        with RunningScope(deadline(trio.current_time(), seconds)):
            most = self._exchange.snapshot.server.max_event_bytes
            opened = await self._opener.connect(call, self._session.opening.offered, most)
            if not isinstance(opened, SocketRefused):
                return opened
            if opened.status < _LEAST_ERROR:
                message = f"{opened.status} in place of a WebSocket"
                return Failed(Cause.PROTOCOL_VIOLATION, message, opened.status)
            return await self._refused(HeldAnswer(opened.status, opened.headers, opened.body))
        message = f"no answer to the opening of a session within {seconds:g} s"
        return Failed(Cause.FIRST_EVENT_TIMEOUT, message)

    async def _served(
        self, log: AttemptLog, provider: ProviderSocket, mask: KeyMask
    ) -> RelayEnd | None:
        """Serve the session; return None if another deployment may."""
        exchange, session, deployment = self._exchange, self._session, self._passed.deployment
        answer = HeldAnswer(_SWITCHED, provider.headers, b"")
        try:
            first = await self._first_word(provider, answer, mask)
        except UpstreamFailure as exc:
            first = failed_by(exc)
        if isinstance(first, Failed):
            log.outcome = mask.failed(first)
            return None
        log.outcome = Committed(answer, b"", mask=mask)
        log.first_event()
        self._keep(self._kept)
        guard = SessionGuard(exchange, session.key, session.name, session.current)
        server = exchange.snapshot.server
        relay = self._frames = SessionRelay(
            exchange,
            session.socket,
            provider,
            self._talk,
            SessionBounds(
                deployment.timeouts.idle, server.session_idle_timeout, server.session_timeout
            ),
            check=session.check,
            guard=guard,
            notes=session.notes,
            prices=deployment.prices,
            mask=mask,
            keep=self._keep,
        )
        try:
            await self._accept(provider, mask)
            return await relay.run(first)
        finally:
            guard.over()
            self._account(log)

    async def _first_word(
        self, provider: ProviderSocket, answer: HeldAnswer, mask: KeyMask
    ) -> SocketFrame | Failed | None:
        """Return what the provider says first; None if it waits for the caller.

        Raises UpstreamFailure.
        """
        session, deployment = self._session, self._passed.deployment
        seconds = GREETING
        if session.first is not None:
            looked = self._talk.from_caller(session.first)
            await provider.send(SocketFrame(looked.text or session.first))
            seconds = deployment.timeouts.first_event
        with RunningScope(deadline(trio.current_time(), seconds)):
            frame = await provider.receive()
            if isinstance(frame, SocketFrame):
                frame = masked(frame, mask.answer)
            return self._judged(frame, answer)
        if session.first is None:
            return None
        return Failed(Cause.FIRST_EVENT_TIMEOUT, f"no event within {seconds:g} s")

    def _judged(self, frame: SocketFrame | SocketClose, answer: HeldAnswer) -> SocketFrame | Failed:
        """Return the first frame, or what an error or a close in its place means."""
        if isinstance(frame, SocketClose):
            said = f"the provider closed at once: {frame.code} {frame.reason}".rstrip()
            return Failed(Cause.CONNECTION_LOST, said)
        text = None if frame.more else MessageParts().add(frame)
        if text is None:
            return frame
        self._session.notes.provider(text)
        heard = self._talk.from_provider(text)
        if heard.fails:
            what = "the session began with an error"
            return reported_error(answer, self._passed.deployment, text.encode(), what)
        self._kept = heard.kept
        return frame

    async def _accept(self, provider: ProviderSocket, mask: KeyMask) -> None:
        """Open the caller's side, unless it had to be open before its model was known."""
        exchange, session = self._exchange, self._session
        deployment, limited = self._passed.deployment, exchange.caller.limited
        shown = provider_headers(deployment, mask.headers(provider.headers), limited=limited)
        headers = [*shown, *exchange.provenance()]
        session.notes.opened(_SWITCHED, headers)
        if session.socket.status is None:
            chosen = provider.subprotocol or session.opening.chosen
            await session.socket.accept(chosen, headers)

    def _keep(self, ids: tuple[str, ...]) -> None:
        """Take note of what the provider keeps."""
        exchange = self._exchange
        state_key = self._passed.deployment.state_key
        home = Home(exchange.caller.digest, state_key, exchange.record.model or "")
        for each in ids:
            exchange.services.homes.keep(each, home)

    def _account(self, log: AttemptLog) -> None:
        """Say what the session took."""
        talk, settlement = self._talk, self._exchange.settlement
        partial = talk.uncounted or talk.working
        usage = summed(talk.answers, partial=partial)
        if usage is None and not partial:
            # Nothing was asked, so that nothing is to be paid.
            lease = log.lease
            lease.deployment = msgspec.structs.replace(lease.deployment, prices=FREE)
        settlement.answered(usage, 0)
        settlement.streamed(talk.events, 0)

    async def _conclude(self, end: RelayEnd) -> None:
        exchange, socket, relay = self._exchange, self._session.socket, self._frames
        exchange.settlement.end(end.reason, end.message)
        if end.reason is EndReason.SEND_TIMEOUT:
            return
        silent = relay is not None and (relay.told or relay.inside)
        if end.reason is not EndReason.COMPLETE and not silent:
            event = self._session.dialect.error_event(
                end.message or "", end.code or end.reason.value, "upstream_error"
            )
            await socket.send(event)
        if relay is not None and relay.close is not None:
            await socket.close(relay.close)
        elif end.reason is not EndReason.COMPLETE:
            await socket.close(SocketClose(_CLOSES.get(end.reason, FAILED), end.message or ""))
