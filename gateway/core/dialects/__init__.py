"""The APIs that callers and providers speak, each in a package of its own.

    base                what a dialect is: everything else knows dialects by it alone
    rewriting           what comes of an answer: a whole one, or a stream; part of `base`
    sse_rewriter        what the rewriters of all streams have in common
    openai_chat         OpenAI's chat completions
    openai_completions  OpenAI's legacy completions, by the engine of chat completions
    openai_numbers      OpenAI's embeddings and moderations
    openai_responses    OpenAI's Responses
    anthropic_messages  Anthropic's Messages
    gemini              Google's Gemini
    bedrock_converse    Amazon Bedrock's Converse, whose streams are binary frames
    bedrock_invoke      its InvokeModel: bodies of each model's own, with the model in the path
    ollama              Ollama's own API, whose streams are lines of JSON
    cohere              Cohere's own, version 2: chats, embeddings and ranks
    openai_azure        OpenAI's APIs below the paths of Azure's deployments
    openai_media, passthrough  what goes on as it comes
    rerank              ranks: what goes on as it comes, and to Amazon's models
    by_body/            paths of several APIs, of which the body tells one
    sessions/           what a dialect of WebSockets is; openai_realtime has OpenAI's
    recognised/         usage, where it is found in what goes on as it comes
    bodies/             a request's body as an object, and how long it lets its answer become
    needs, model_terms  what a request needs of a model, and what a model takes of its API
    refused_heads       errors for requests that are refused by their head alone
    error_words         what the errors of all dialects have in common
    canonical           what requests and answers say, between two dialects
    translators         the way from one dialect to another
    keeping             responses that the gateway keeps itself
    embeddings/         vectors, from one API to another
    counting/           how many tokens a prompt has, by a provider's counter or a tokenizer
    text_meter          how much text has come, where no usage is reported

The route of a request chooses the caller's dialect, a deployment has its provider's. Nothing
outside this package, the providers and the routes has a dialect's words in it. Read `base`
first, then `openai_chat/dialect.py`, which names the modules of the dialect.
"""
