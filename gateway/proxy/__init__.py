"""One request, from its body to its settled record, on Trio.

    exchange     a request's identity and lifetime: the nursery that all of it lives in
    settlement   its usage, its cost and its record, accounted in one place
    operations/  what a path asks for: from the key and the body to the pipeline
    access       who may call, and for which model
    admission    the caller's limits in one step, with a place in the gateway or then one
    attempts/    the attempts of a request, and the relay of the answer that is shown
    clients/     what stands between a request and its caller's side: for the cache, the debug log
    relayed/     requests and answers that are passed on unread, of any size
    sessions/    WebSockets: frames both ways, under the same rules
    cache/       answers that are kept, and calls that are shared
    traffic/     slots, load shedding, loop lag, health checks
    outcomes     how attempts and streams end
    options      what a caller asks of the gateway itself
    protocols    what this package needs of the edges; services has them all
    unserved     requests to paths that are not served, counted
    failure      what a caller is told of whatever made its request fail
    in_flight, capture, reservation, disconnect, services

The package knows no ASGI, no HTTP library, no store and no dialect: `protocols` says what it
needs of each. Read `exchange`, `operations/chat`, `attempts/pipeline`, `attempts/attempt`,
`attempts/relay`, `settlement`, in this order.
"""
