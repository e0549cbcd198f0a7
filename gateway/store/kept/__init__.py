"""What the gateway keeps for callers that come back for it.

responses   answers in OpenAI's Responses API, where the provider keeps none
"""
