"""The configuration file: its schema, its loading, the snapshot that requests run on."""
