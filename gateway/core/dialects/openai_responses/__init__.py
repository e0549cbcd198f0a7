"""OpenAI's Responses, which Codex and the newer SDKs speak.

    dialect    the parts put together as `base.Dialect` wants them
    request    what of a request concerns the gateway
    stream     the rewriter of a stream: provider's bytes in, caller's bytes out
    event      what is decoded of an event, and what its type says
    answer     a whole answer under the requested name
    unstreamed a whole answer that came instead of a stream
    errors     how a stream fails, and what a failure says
    translated/  to and from the canonical form

Items and events of every type pass as they came, unknown ones too: only the `response` objects in
events are looked into, for the model's name, the usage and how they ended.
"""
