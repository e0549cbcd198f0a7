"""Commands that change what a gateway does while it runs, through its database.

keys         the keys of the database
teams        the teams of the database
deployments  drain, enable, reset
capturing    one key captured for a while
"""
