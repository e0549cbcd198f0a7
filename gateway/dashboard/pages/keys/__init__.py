"""Keys and teams: what may be spent, by whom, and all that operators do about it.

listing  the list of keys
key      one key, and the forms in which it is made and changed
changes  what the forms of keys do
teams    the list of teams, one team, and what its forms do
"""
