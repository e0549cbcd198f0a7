"""Listening beside Hypercorn.

side_listener  another app on an address of its own
"""
