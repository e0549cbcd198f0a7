"""What the schema was, step by step."""
