"""Spans of requests and attempts, to an OpenTelemetry collector by OTLP over HTTP.

    arrival    begin    ids are drawn or taken from traceparent (core/records/traceparent.py)
    attempt    span_id  one more id, which its call's traceparent names
    settle     record   the record goes in the queue of a `Spooler`
    run                 its thread, once a second, makes spans of records (spans.py) and has the
                        SDK's exporter send them

Nothing of the SDK runs on the event loop, and no global tracer provider is set. Exporters fail,
hang and come back: nothing waits for one but its own thread, and what does not fit in the queue
meanwhile is dropped, oldest first, and counted.

The SDK takes from the environment what the configuration does not say: more headers
(OTEL_EXPORTER_OTLP[_TRACES]_HEADERS), _COMPRESSION, _CERTIFICATE, _CLIENT_KEY,
_CLIENT_CERTIFICATE, OTEL_RESOURCE_ATTRIBUTES, and the proxies and .netrc that `requests` reads.
Endpoint, timeout and service name are always the configuration's.
"""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec
import structlog

from ...background import Spooler, SpoolPace
from ...config.schema import TracingConfig
from ...core.records.record import Record
from ...core.records.traceparent import Trace, begin, new_span_id
from ...errors import ConfigError
from ...installation import how_to_add
from ...providers.settings import Provider

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

    from .spans import SpanMaker

# A record with its attempts takes some 2 KB: 8 MB at most, and more than ten seconds of what
# one process can serve.
QUEUE_REQUESTS: Final = 4096
# The size of the SDK's own batches (its BatchSpanProcessor).
BATCH_SPANS: Final = 512
# Few requests have less than two spans.
_BATCH_REQUESTS: Final = BATCH_SPANS // 2
# After how many spans the thread lets others have the interpreter.
_TURN_SPANS: Final = 4
BATCH_SECONDS: Final = 1.0
FLUSH_SECONDS: Final = 5.0
# The exporter's timeout bounds each wait for a byte, and its retries. The grace is for the rest.
_GRACE_SECONDS: Final = 1.0

_EXPORTER: Final = "opentelemetry.exporter.otlp.proto.http.trace_exporter"

_log = structlog.get_logger(__name__)


class ExporterStatus(msgspec.Struct, frozen=True):
    """`waiting` is in requests, `sent` and `dropped` in spans; `error` is why nothing is sent."""

    waiting: int
    sent: int
    dropped: int
    error: str | None


# A finished request.
_Finished = tuple[Record, Trace]


class _Outcome(NamedTuple):
    """What a batch came to, in spans, and why those that failed did."""

    sent: int
    failed: int
    error: str | None


class OtlpTracer(Spooler[_Finished, _Outcome]):
    """Sends spans to `config.endpoint`. Raises ConfigError without the SDK or for a bad URL."""

    def __init__(self, config: TracingConfig, queue_requests: int = QUEUE_REQUESTS) -> None:
        patience = config.timeout + _GRACE_SECONDS
        pace = SpoolPace(
            _BATCH_REQUESTS,
            gather=BATCH_SECONDS,
            pause=BATCH_SECONDS,
            patience=patience,
            flush=FLUSH_SECONDS,
        )
        super().__init__(queue_requests, pace)
        self._endpoint = _checked(config.endpoint or "")
        self._sample = config.sample
        self._exporter, self._maker = _sdk(config)
        self._mute = _Mute()
        # In spans, as `dropped` is.
        self._sent = 0
        # Since an episode began: why, how many were dropped before it.
        self._error: str | None = None
        self._before = 0
        self._noted = 0

    def __repr__(self) -> str:
        return f"<OtlpTracer to {self._endpoint}: {self.status}>"

    @property
    def status(self) -> ExporterStatus:
        """How the export goes now."""
        return ExporterStatus(self.waiting, self._sent, self.dropped, self._error)

    def configure(self, providers: Mapping[str, Provider]) -> None:
        """Take note of where the providers of a configuration are."""
        self._maker.configure(providers)

    # What the request path calls...

    def begin(self, pairs: Iterable[tuple[bytes, bytes]]) -> Trace:
        """Return the trace of a request with these headers, whose names are in lower case."""
        return begin(pairs, random.getrandbits, self._sample)

    def span_id(self) -> str:
        """Draw the id of an attempt's span."""
        return new_span_id(random.getrandbits)

    def record(self, record: Record, trace: Trace | None) -> None:
        """Queue a finished request, which from now on must not change."""
        if trace is not None and trace.sampled:
            self.put((record, trace))

    # The task, and its thread...

    async def run(self) -> None:
        """Send for ever; cancelled, send what is left within `FLUSH_SECONDS`."""
        exporter_log = logging.getLogger(_EXPORTER)
        exporter_log.addFilter(self._mute)
        try:
            await super().run()
        finally:
            if self.dropped > self._noted:
                _log.warning("spans dropped at exit", total=self.dropped)
            # Ends the pauses between the retries of a thread that was left behind.
            self._exporter.shutdown()
            exporter_log.removeFilter(self._mute)

    def _take(self, waiting: deque[_Finished]) -> list[_Finished]:
        taken, spans = [], 0
        while waiting and spans < BATCH_SPANS:
            taken.append(waiting.popleft())
            spans += _spans_of(taken[-1][0])
        return taken

    def _write(self, items: list[_Finished]) -> _Outcome:
        spans, failed, error = _Batch(), 0, None
        for record, trace in items:
            try:
                spans += self._maker.spans(record, trace)
            except Exception as exc:  # noqa: BLE001  # no span is worth the process
                failed += _spans_of(record)
                error = type(exc).__name__
                _log.exception("spans lost", request_id=record.request_id)
            time.sleep(0)  # see _Batch
        self._mute.heard = ""
        # SpanExportResult.SUCCESS is 0; failures are results, too.
        if spans and self._exporter.export(spans).value:
            return _Outcome(0, failed + len(spans), self._mute.heard or "the exporter failed")
        return _Outcome(len(spans), failed, error)

    def _settle(self, items: list[_Finished], result: _Outcome) -> bool:
        self._sent += result.sent
        self.dropped += result.failed
        self._note(result.error)
        # A collector that fails is asked again after a pause.
        return result.error is None

    def _drop(self, item: _Finished) -> int:
        return _spans_of(item[0])

    def _late(self) -> None:
        self._note(f"no answer within {self._pace.patience:g} s")

    def _note(self, error: str | None) -> None:
        """Log the beginning and the end of an episode in which spans are lost."""
        dropped = self.dropped
        if error is None and dropped > self._noted:
            error = "more spans than it takes"
        if error is not None and self._error is None:
            self._before = self._noted
            _log.warning("spans are not taken", endpoint=self._endpoint, error=error)
        elif error is None and self._error is not None:
            _log.info("spans are taken again", dropped=dropped - self._before)
        self._error, self._noted = error, dropped


def _spans_of(record: Record) -> int:
    return 1 + len(record.attempts)


class _Batch(list["ReadableSpan"]):
    """Spans whose reader stops for a moment after every few.

    The exporter takes 50 ms to make protobuf of a full batch, and keeps the interpreter
    meanwhile: the event loop would wait for the 5 ms of a thread's time slice, each time that it
    has something to do. With the stops it mostly waits 0.3 ms (measured).
    """

    def __iter__(self) -> Iterator[ReadableSpan]:
        for number, span in enumerate(super().__iter__(), 1):
            yield span
            if number % _TURN_SPANS == 0:
                time.sleep(0)


class _Mute(logging.Filter):
    """Keeps the exporter's lines, several for each batch that fails, out of the log.

    Those lines are the only place where it gives the reason. `heard` is the first of a batch: a
    status, or an exception's class only, since its text may hold the whole URL and so a key.
    """

    heard = ""

    def filter(self, record: logging.LogRecord) -> bool:
        values = record.args if isinstance(record.args, tuple) else ()
        shown = tuple(_brief(value) for value in values)
        said = str(record.msg) % shown if shown else str(record.msg)
        self.heard = self.heard or said[:200]
        return False


def _brief(value: Any) -> Any:
    return type(value).__name__ if isinstance(value, BaseException) else value


def _checked(endpoint: str) -> str:
    """Return the endpoint as a log may show it: without user, password and query."""
    try:
        url = urlsplit(endpoint)
        port = url.port
    except ValueError as exc:
        raise ConfigError([f"tracing.endpoint is no URL: {exc}."]) from exc
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ConfigError(["tracing.endpoint must be a URL such as http://host:4318/v1/traces."])
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return f"{url.scheme}://{host}{f':{port}' if port else ''}{url.path}"


def _sdk(config: TracingConfig) -> tuple[SpanExporter, SpanMaker]:
    try:
        # Imported only where tracing is on: 0.2 s, and an extra to install.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        from . import spans
    except ImportError as exc:
        raise ConfigError(
            [f"tracing.endpoint needs OpenTelemetry ({exc}): {how_to_add('otel')}"]
        ) from exc
    exporter = OTLPSpanExporter(
        endpoint=config.endpoint, headers=config.headers, timeout=config.timeout
    )
    return exporter, spans.SpanMaker(spans.resource(config.service_name), random.getrandbits)
