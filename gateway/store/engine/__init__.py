"""The database: its schema, its two engines, and transactions that end at their deadline.

In reading order:

    schema                the tables, for both engines
    control_tables        those of what operators change while it runs
    kept_tables           those of responses and objects that are kept
    condensed_table       sums of finished hours and days by one dimension
    creation              their indexes, and all of it at once in a new SQLite file
    upsert                an INSERT that may meet a row
    ids                   primary keys of requests, which begin with the time
    database              `Database`: transactions, from threads or from Trio
    transaction_deadline  the time of one transaction, and how it is ended early
    threads               a limited number of threads for transactions
    sqlite, postgresql    what the engines do differently
    migrate               brings a database to this version's schema
"""
