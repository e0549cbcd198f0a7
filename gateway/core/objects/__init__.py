"""Objects that a provider keeps for callers: files, batches, vector stores and the like.

    kept      what is remembered of one: whose it is, and in which account of which provider
    ids       what looks like the id of one, in a body or in an answer
    named     the ids that a request to a model names
    families  the paths that they have, and what may be done there

The provider's own ids are passed on as they are. An object is there for the key that made it alone:
an account has those of all callers.
"""
