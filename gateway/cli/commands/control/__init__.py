"""Commands that change what a gateway does while it runs, through its database.

keys         the keys of the database
teams        the teams of the database
deployments  drain, enable, reset
processes    all processes on all hosts: their state, drains, requests to cancel
capturing    one key captured for a while
"""
