"""What lasts: request log, audit log and roll-ups, in SQLite or PostgreSQL. All SQL is in here."""
