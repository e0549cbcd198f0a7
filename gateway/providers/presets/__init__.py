"""Providers as presets: what `catalog.toml` knows of them, and what becomes of a table in the file.

    preset     one table of the catalogue
    catalogue  the catalogue, read when it is first asked for, and names that were nearly right
    completed  a table `[providers.NAME]`, completed by its preset
    listing    the catalogue as documentation

Read `preset` first. The keys of a preset that are not its own are those of `[providers.NAME]`.
"""
