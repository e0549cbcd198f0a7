"""Bytes of HTTP, of server-sent events and of JSON, read and cut without a copy too many.

    sse         server-sent events: bytes in, events out, and back again
    framing     how long a response's body is, and where in the bytes it lies (RFC 9112)
    json_scan   the top-level members of a JSON object and where they stand
    inflate     gzip and deflate, within a limit
    plain_text  whether bytes are text at all
    splice      rewrite some of them in the bytes, and leave every other byte alone
    model_name  the name of the model in a stream's events, by what they begin with
    bounds/     how deep JSON may be nested, and how many members an object may have
    heads/      heads in the form that nearly all have
    binary/     event streams of frames with checksums, Amazon's

Every decoder has `feed(data)` and gives the same result however its input is cut. Read `sse`,
then `splice`.
"""
