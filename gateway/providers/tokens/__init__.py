"""Access tokens that clouds give out: where they come from, and how they are asked for.

    sources   settings: a machine's managed identity (Azure), an account of Google's
    requests  the one HTTP request that brings a token

`oauth` reads the answers, which have the form of RFC 6749; `process/credentials.py` asks in time.
"""
