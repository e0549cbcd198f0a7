"""Google's Gemini API (ai.google.dev/api/generate-content): google-genai and Gemini CLI speak it.

    dialect   the parts put together as `base.Dialect` wants them, and which path asks for which
    request   what of a request concerns the gateway, and how it goes to a provider
    chunk     one event of a stream: what of it is decoded
    framing   events as SSE (`alt=sse`), or as the elements of one JSON array
    stream    the rewriter of a stream: provider's bytes in, caller's bytes out
    answer    a whole answer under the requested name
    usage     token counts
    errors    Google's error object, read and written
    models    the list of models, in pages
    numbers   countTokens, embedContent and batchEmbedContents

    unstreamed, assembled  an answer that came instead of a stream, and the other way round
    state/                 signatures, and the state of other providers in their place
    translated/            the way to and from other dialects

The model and the method stand in the path, so a dialect is made for each request: it knows them,
and whether the caller reads SSE or an array. Read `dialect`, `request`, then `stream`. Types are
those of google-genai 3.6, `types.py`; members may be written in camelCase or in snake_case
(protobuf.dev, "ProtoJSON format").
"""
