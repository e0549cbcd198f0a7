"""Spans of requests and attempts, sent to an OpenTelemetry collector by OTLP over HTTP.

The OpenTelemetry SDK is an extra, and is imported only where tracing is on. In reading order:

    tracer          `OtlpTracer`: ids for requests and attempts, a queue, and the thread that sends
    spans           makes the SDK's spans from a record, by the GenAI semantic conventions
    server_address  where a provider is, and its name in those conventions
"""
