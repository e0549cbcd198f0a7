"""Requests that are made or made again by a person: what pages need for the playground and replays.

captured       what the debug log kept of a request
sendable       what of it can be sent again
curl           the same as a command
model_choices  the models that can be tried, and the APIs in which each is served
answer_diff    two answers beside each other
"""
