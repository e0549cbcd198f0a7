"""The codes and words in which providers refuse a request, by what they mean.

In reading order:

    account      our account or its key: unpaid, suspended, out of credit
    limits       rate limits, and requests that are too large for one of them
    length       the request is too long for the model
    content      a filter dislikes its content
    google       which of Google's quotas is used up: a body's details say it
    unsupported  the model or its server cannot do what is asked

Each module has marks for `failures.py`, which puts them into the tables of the kinds. A word counts
only with its source. Sources without an address are error texts as their users reported them
(GitHub, 2024 to 2026): few providers document them.
"""
