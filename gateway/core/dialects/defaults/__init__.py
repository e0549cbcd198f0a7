"""What dialects have in common, where they do not say otherwise.

plain_dialect  an API of JSON and server-sent events whose paths do not name a model
"""
