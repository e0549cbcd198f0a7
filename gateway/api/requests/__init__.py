"""What ASGI, our own server and a signature say of one request.

served_request    ASGI's types, and what `serve/` tells besides
signed_request    requests of Amazon's SDKs: the key that a signature stands for
"""
