"""The commands of `gateway`, one module for each.

    serve    one worker, or a supervisor of several
    reload   tells a running gateway to read its configuration again
    check    says everything that is wrong with a configuration file
    tokens   creates, lists and revokes keys
    control/ keys, teams and deployments, changed while gateways run
    db       upgrades and checks the database; `prune` is its command for retention
    audit    verifies and lists the audit log
    export   writes records to a file or a pipe
    debug    shows captures; `replay` is its command that sends one again

Modules that take long to import are imported inside of the functions that need them. Read `check`
first, which is the smallest.
"""
