"""Bounds on JSON that hold while it is read, or before.

    nesting       how many levels it may have
    bounded_keys  how many members an object may have

What either saves is time and memory for a body that nobody would send but to take them.
"""
