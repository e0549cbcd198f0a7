"""Ollama's own API, which editors speak: chats, prompts (`generate`) and embeddings.

    dialect    each operation, as `base.Dialect` wants it
    request    a request: the members that decide something
    needs      what it needs of a model
    lines      a stream, a JSON object in each line (application/x-ndjson), and its rewriter
    answer     a whole answer, and the counts in it
    models     the lists of models, and what is said of one
    errors     an error, which is one text
    embed      vectors
    translated/  to and from the canonical form

By github.com/ollama/ollama `docs/api.md` and `api/types.go`. A request streams unless it says not
to.
"""
