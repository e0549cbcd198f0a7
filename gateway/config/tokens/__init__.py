"""The file of tokens beside the configuration, which `gateway tokens` writes.

    file  adds, removes and lists tokens: locks the file, checks the result, replaces it whole
    text  adds an entry to a TOML file, or cuts one out, and changes no other byte

Read `file` first. The loader (`config/load.py`) reads this file together with `config.toml`, so
that people have a file of their own whose comments no program rewrites.
"""
