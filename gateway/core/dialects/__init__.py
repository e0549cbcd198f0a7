"""The APIs that callers and providers speak, each in a package of its own.

    base                what a dialect is: everything else knows dialects by it alone
    rewriting           what comes of an answer: a whole one, or a stream; part of `base`
    sse_rewriter        what the rewriters of all streams have in common
    openai_chat         OpenAI's chat completions
    openai_completions  OpenAI's legacy completions, by the engine of chat completions
    openai_numbers      OpenAI's embeddings and moderations
    openai_responses    OpenAI's Responses
    anthropic_messages  Anthropic's Messages
    bodies/             a request's body as an object, and how long it lets its answer become
    needs               what a request needs of a model
    refused_heads       errors for requests that are refused by their head alone
    error_words         what the errors of all dialects have in common
    canonical           what requests and answers say, between two dialects
    translators         the way from one dialect to another
    keeping             responses that the gateway keeps itself
    text_meter          how much text has come, where no usage is reported

The route of a request chooses the caller's dialect, a deployment has its provider's. Nothing
outside this package, the providers and the routes has a dialect's words in it. Read `base`
first, then `openai_chat/dialect.py`, which names the modules of the dialect.
"""
