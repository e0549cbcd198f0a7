"""What all dialects read of a request's body.

request_body  the body as an object: its members, and those that every dialect has
plain_body    what is read of one: of a chat, or of what generates no text
textless      a request for which no text is generated, by way of another
items         how many messages, parts and tools it has, before each is looked at
token_limits  how long the request lets its answer become
"""
