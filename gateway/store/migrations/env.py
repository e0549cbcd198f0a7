"""What Alembic runs to get at the database: `migrate.py` hands it the connection."""

from alembic import context

from gateway.store.engine.creation import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
