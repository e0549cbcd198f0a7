"""Opaque state: Google's own on its way through other dialects, and other providers' in Google's.

signatures     what of a part's `thoughtSignature` has to go back to where it came from
carried_state  other providers' state in the only slot that this API has for it
foreign_state  the same taken out of a request that stays in its dialect
"""
