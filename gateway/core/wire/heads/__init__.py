"""Heads of HTTP messages, as bytes.

plain_head    requests and responses in the usual form, read at once; h11 reads the others
"""
