"""What all dialects read of a request's body.

request_body  the body as an object: its members, and those that every dialect has
token_limits  how long the request lets its answer become
"""
