"""What dialects have in common, where they do not say otherwise.

plain_dialect  an API of JSON and server-sent events whose paths do not name a model
    assembled      a stream in place of a whole answer, put together to one
"""
