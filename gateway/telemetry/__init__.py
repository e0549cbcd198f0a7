"""What the gateway tells its operator while it runs: log, request lines, metrics and spans.

    logs      the application's log: structlog and Python's logging, to stderr
    stderr    `in_background`: stderr is written by a thread, so that no log line blocks the loop
    without_rich  the same structlog, imported without what it does not need
    lines     `LineRecorder`: each request record as a JSON line, to stdout
    line_file `LineFile`: what both write with, whole lines only
    metrics/  counters, histograms and gauges of all workers, for Prometheus
    tracing/  spans of requests and attempts, to an OpenTelemetry collector

All but the log start from the `Record` of a finished request (`core/records/`). `lines` and
`tracing/` write on a thread of their own (`background.Spooler`), so that no request waits for a
pipe or a collector. Read `logs` and `lines` first; the two folders stand for themselves.
"""
