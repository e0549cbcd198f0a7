"""The response cache at work, and calls that equal requests share.

    serve            look an answer up, or have it made and keep it
    coalesce         equal requests at the same time, answered by one call
    fan_out          the client of such a call: written once, read by many at their own pace
    flights          the shared calls under way, and the nursery that they run in
    response_cache   the store and the flights of one process
    timeout          a caller whose own time is up while it follows a shared call

What is kept, and under which key, is decided in `core/cache/`. Read `serve`, then `coalesce`.
"""
