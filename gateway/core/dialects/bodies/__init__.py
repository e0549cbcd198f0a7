"""What all dialects read of a request's body.

request_body  the body as an object: its members, and those that every dialect has
plain_body    requests of which little more than the model is read: chats, and for vectors
textless      requests for which no text is generated
items         how many messages, parts and tools it has, before each is looked at
token_limits  how long the request lets its answer become
"""
