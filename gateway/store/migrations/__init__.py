"""The revisions of the schema, one file each in `versions/`, run by Alembic.

To add a column, or anything else:

1. Change `gateway/store/engine/schema.py`, and `creation.py` for indexes and triggers: a new SQLite
   file is made of these two alone. A column on a table with rows must be nullable or have a
   `server_default`; then neither engine rewrites the table, and the version before can go on using
   it while hosts are upgraded one after the other. So a revision only adds: nothing is dropped,
   renamed, or given another type or meaning within one version (`test_newer.py` holds it; an
   index is nothing that code needs). What is to go stays unused for one version first.
2. Write `versions/NNNN_what.py` after the example of those there: `revision`, `down_revision`,
   and `upgrade()`, with `op.add_column("requests", sa.Column("region", sa.Text()))`. Revisions
   import nothing of the gateway, since they describe the schema of their time.
3. Set `HEAD` in `gateway/store/engine/migrate.py` to it.
4. Run tests/store/engine/test_migrate.py: it goes from each revision, with rows, to the new one,
   on both engines, and compares the result with `schema.py`, and with a new SQLite file.

What takes long with ten million requests, such as an index or a new value in each row, says
`heavy = True`: no start of the gateway does it, only `gateway db upgrade`. On PostgreSQL it runs
outside of a transaction, so that indexes can be made `CONCURRENTLY`; it must then be able to run
again after it was interrupted. On SQLite it is one transaction as always.
"""
