"""Metrics of requests and of the process, summed over all workers when Prometheus scrapes.

prometheus-client renders the text only; the numbers are kept in cells of the gateway's own, in
memory or in files that workers share (`cells` says why). In reading order:

    families    every metric: name, labels, help, and how values of several workers are merged
    cells       where the numbers are: lists in memory, or mapped files of a directory
    directory   the directory of those files, and the environment variable that names it
    reasons     why the gateway refused, from the code of an error
    labels      bounds the values of a label that callers can choose
    recorder    `MetricsRecorder`: counts a finished request, publishes, answers a scrape
    gauges      what the process is doing now, and the cells that hold it
    exposition  merges the cells of all workers and renders them
"""
