"""Anthropic's Messages (docs.anthropic.com/en/api/messages), which Claude Code speaks.

    dialect   the parts put together as `base.Dialect` wants them
    request   what of a request concerns the gateway, and how it goes to a provider
    stream    the rewriter of a stream: provider's bytes in, caller's bytes out
    answer    a whole answer under the requested name
    usage     token counts, which come in two events of a stream
    errors    Anthropic's error object, read and written
    models    the list of models, in pages

    unstreamed, assembled  an answer that came instead of a stream, and the other way round

Read `request`, then `stream`. Types are those of anthropic-sdk-python 2.14, folder `types/`.
"""
