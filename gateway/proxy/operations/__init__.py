"""What a path asks for, from the key and the body to the pipeline. A module each.

    chat          an answer of a model: the key, the body, the limits, the cache, the pipeline
    count_tokens  how many tokens a prompt has
    own_responses  responses that the gateway keeps itself
    kept_answers  answers that a provider keeps: looked at, deleted, cancelled

An operation knows no dialect's bytes: it asks `exchange.dialect` to read the request.
"""
