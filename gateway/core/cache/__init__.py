"""The response cache without its I/O.

    key      the key of a request: equal for requests that mean the same, and only for those
    answers  the store, bounded by bytes and by age, and the recording of an answer under way

`proxy/cache/` serves from the store and lets equal requests share one call.
"""
