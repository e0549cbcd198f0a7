"""Rerank: which of some documents answer a query, as Cohere, Jina, Voyage and vLLM have it.

    dialect      the operation, as `base.Dialect` wants it
    request      a request, read as one for embeddings is (`openai_numbers/`)
    answer       an answer under the requested name, and its usage: tokens, or units of search
    call         what a request says, in no dialect's words
    translation  a request to a provider of another API, and its answer back
    ranks        this API's side of that
    apis         each API by the name of its dialect

They agree on the request (`query`, `documents`) and nearly on the answer, so that nothing of either
is translated between them. Amazon has bodies without a model (`bedrock_invoke/ranks.py`).
"""
