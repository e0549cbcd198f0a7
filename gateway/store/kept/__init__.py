"""What the gateway keeps for callers that come back for it.

objects     where a provider keeps a file, a batch and the like, and whose it is
responses   answers in OpenAI's Responses API, where the provider keeps none
"""
