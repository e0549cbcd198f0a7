"""Paths that serve several APIs: which one is asked, a request's body says.

    read_body        reads it, and serves the request in that API
    encoding_client  writes its answers as the path has them

What such a path is says `core/dialects/by_body/`.
"""
