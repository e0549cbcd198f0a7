"""Texts in, vectors out, from a caller of one API to a provider of another.

    call         what a request for vectors says, in no dialect's words
    translation  a request there, and its answer back
    packed       vectors as base64, as OpenAI's SDKs ask for them
    apis         each API by the name of its dialect

Each dialect has a reader and a writer of both in its own package. Which model it is decides what
the vectors mean; an API can say what they are for (a query, a document), which models of others
have no word for.
"""
