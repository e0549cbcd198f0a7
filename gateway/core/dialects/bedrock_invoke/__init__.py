"""Amazon's InvokeModel: bodies of each model's own, with the model in the path.

    POST /model/MODEL/invoke
    POST /model/MODEL/invoke-with-response-stream
    POST /model/MODEL/count-tokens

    counts    tokens as Amazon counts them, in headers
    titan     vectors of Titan's models: a text, an image or both in, one vector out
    cohere    Cohere's vectors: its own API without the model, and a list where that has an object
    ranks     ranks, of Cohere's models and of Amazon's
    messages  Anthropic's Messages, whole and streamed
    count_tokens  CountTokens, which asks about a body of either API
    dialect   all of it: the dialects of deployments, and of a request by its body

What the models' own APIs are is in their packages; here is what Amazon makes of them.
"""
