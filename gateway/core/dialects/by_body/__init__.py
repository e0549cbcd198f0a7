"""Paths that serve several APIs, by the bodies of their requests.

body_dialect  what such a path is, and how its answers are written
"""
