"""Where a configuration comes from, and where its gateway writes.

text     the text of a file, and TOML of a text
state    the folder of what a gateway writes
demo     the configuration that is in use where there is no file
shipped  `config.toml` of this folder: every key with its default, and a demo
"""
