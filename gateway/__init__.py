"""A gateway in front of LLM providers, on Trio structured concurrency.

A request enters through an ASGI app served by Hypercorn's Trio worker, runs inside one
nursery whose cancel scopes are its deadlines, is tried on one provider deployment after
another until a first meaningful event commits it, and is relayed byte-faithfully to the
caller while usage, cost and health are settled exactly once at the end.

    core/       pure decisions and codecs: no I/O, no clock, no randomness
    config/     the configuration file: schema, loading, validation
    providers/  what a call to each kind of provider looks like; describes, never calls
    upstream/   the HTTP/1.1 client transport that makes those calls
    store/      what lasts: request log, audit log, roll-ups, debug log; SQLite or PostgreSQL
    telemetry/  application logs, lines of records, metrics, spans
    proxy/      one request from its body to its settled record
    server/     the ASGI API
    admin/      the admin API
    serve/      sockets, Hypercorn's hardened Trio worker, signals, drain
    cli/        the command line
"""

__version__ = "0.1.0"
