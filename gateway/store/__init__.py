"""Request log, audit log and roll-ups in SQLite or PostgreSQL. All SQL of the gateway is in here.

    engine/      the database: schema, connections, transactions with deadlines, migrations
    held/        what a process holds while it lives: what it hears, and which jobs it leads
    migrations/  the revisions of the schema, which Alembic runs
    accounts/    users of the admin API, their sessions, failed sign-ins
    writing/     from a record in memory to rows: batches, journal, roll-ups, the audit chain
    queries/     what the admin API reads: pages of the logs, usage, costs, statistics
    export/      the same data in full, as CSV, JSON lines or Parquet
    kept/        what is kept for callers that come back for it
    retention/   deletes what is older than the configuration says

Read `engine/schema.py` first, then `writing/writer.py`, which explains how nothing is lost or
written twice. Each part uses only parts above it in this list.
"""
