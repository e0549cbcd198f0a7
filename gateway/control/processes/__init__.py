"""Processes and hosts of a gateway by hand.

drains  take one out of service for a while, put it back
"""
