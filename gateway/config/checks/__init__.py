"""What no single table of the configuration can tell: faults between tables, and advice.

In the order in which to read them:

    cross_check    every fault between tables: references, loops, duplicates, meanings of values
    models         its part about models: names, aliases, fallbacks, routes
    binding        another address than the file's
    administration  its part about where the admin API is and how people sign in
    keys           its part about tokens and admins: each has a name and a key of its own
    observability  its part about the store, the debug log, metrics and traces
    advice         what is valid and yet probably not meant
    oversights     its part about what people new to the gateway get wrong
    vanished       what a configuration lacks that the one before had: signs of a half-written file

Each fault is a sentence that begins with the table and the key, and none quotes a secret.
"""
