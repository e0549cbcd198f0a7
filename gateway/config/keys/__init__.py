"""Keys: the tables that say what one may do, and those that are kept in the database.

tables  [[tokens]] and [[teams]]
stored  a key of the database and who may call with it, a team of the database
"""
