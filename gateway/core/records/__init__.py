"""What is written down: of each request, and of what people do to the gateway.

In reading order:

    record           one request and its attempts, made once, at its end
    usage, pricing   tokens as providers report them, and what they cost
    client_metadata  what a request's head says about its sender
    shown_name       names from callers, as they are shown
    traceparent      a request's place in a trace (W3C Trace Context)
    audit            one row of the audit log, chained by hashes to the row before
    histogram, gaps  durations in buckets
    periods          the periods of roll-ups

`store/` keeps records and audit rows, `telemetry/` shows them as lines, metrics and spans.
"""
