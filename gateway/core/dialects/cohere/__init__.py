"""Cohere's own API, version 2 (docs.cohere.com/reference): chats, embeddings and ranks.

    dialect   each operation, as `base.Dialect` wants it
    request   a chat: the members that decide something
    needs     what it needs of a model
    event     one event of a stream: what of it is decoded
    stream    the rewriter of a stream
    answer    a whole answer
    unstreamed, assembled  an answer that came instead of a stream, and the other way round
    embed     vectors, between two equal sides
    usage     billed units, and the tokens that a model has really seen
    errors    an error, which is one message
    models, conversation   the list of models; a captured request as a person reads it
    translated/  to and from the canonical form

Types are those of cohere-python 7.3, folders `types/` and `v2/types/`. Answers do not name their
model, so that between two equal sides they stay as they are to the byte.
"""
