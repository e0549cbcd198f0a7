"""What a path asks for, from the key and the body to the pipeline. A module each.

    chat          an answer of a model: the key, the body, the limits, the cache, the pipeline
    count_tokens  how many tokens a prompt has
    prompt_size   the same where no provider says it: by a tokenizer, or by its length
    own_responses  responses that the gateway keeps itself
    kept_answers  answers that a provider keeps: looked at, deleted, cancelled
    media         images and sound, whose answers are passed on as they come
    by_body       a path of several APIs: which one is asked, a request's body says
    objects       files, batches and the like, which a provider keeps for a key
    object_lists  lists of them, of which a key gets its own
    sessions      many requests and answers over one WebSocket
    named_objects  the files and the like that a request to a model names, and whose they are
    homes         where a request has to go that goes on from an earlier one
    passthrough   whatever else a provider has, as it comes, for keys that may

An operation knows no dialect's bytes: it asks `exchange.dialect` to read the request.
"""
