"""What operators change while the gateway runs, as it is kept for all of its processes.

generations  how often something has changed: what each process asks for once a second
stored_keys  the keys that are kept in the database
"""
