"""The configuration: from the text of `config.toml` to what requests run on.

In the order in which to read them:

    schema         what `config.toml` may say, one Struct a table
    listener/      the table of [server]
    value_types    what values may be, where more than one table has them
    keys/          tokens and teams, and the keys that are kept in the database
    sources/       the texts of files, the demo where there is none, and where a gateway writes
    load           from a file to a valid `Config`, or to the whole list of its faults
    tables         one table as TOML gives it, and what is wrong with it
    environment    `${NAME}` in any string
    checks/        what holds between tables, and what is valid but probably not meant
    catalog        which model a name stands for
    snapshot       a `Config` resolved and immutable: what a request takes and keeps to its end
    reload_status  what a reload changes, what it cannot, and how the last one went
    changes        the names of the settings that differ between two configurations
    tokens/        the file of tokens that `gateway tokens` writes
    paths          where the file of the configuration is, and that of the tokens
    pid_path       where its pid file is, even if the rest of it is not valid
    header_syntax  what may stand in an HTTP header

Nothing here knows the event loop, and only `load`, `sources/`, `checks/`, `tokens/` and the two
modules of paths look at files.
"""
