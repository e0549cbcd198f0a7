"""OpenAI's chat completions, the dialect that most servers speak.

    dialect   the parts put together as `base.Dialect` wants them
    request   what of a request concerns the gateway, and how it goes to a provider
    stream    the rewriter of a stream: provider's bytes in, caller's bytes out
    answer    a whole answer under the requested name
    usage     the token counts of both, in every spelling
    errors    OpenAI's error object, read and written
    models    the list of models

    chunk, events/         what `stream` reads of an event, and what one has as the one before
    faults                 the forms of an error with status 200
    unstreamed, assembled  an answer that came instead of a stream, and the other way round

Read `request`, then `stream`. Everything is spliced in the bytes: see `core/wire/splice.py`.
"""
