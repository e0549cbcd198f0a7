"""One attempt in several calls, where a provider takes fewer inputs at once than a caller sent.

    several_calls  the calls, a few at a time: all of them, or none counts

To the rest of the gateway it is an attempt like any other: one deployment, one key, one outcome.
"""
