"""The command line `gateway`, and the entry point of the program.

    command_line what it can be told: commands and their options
    commands/    one module for each command
    imports/     other gateways' configurations as ours
    output/      what commands print: tables, plain text for terminals, files
    serving/     `gateway serve`: one process, or the supervisor of several
    store        opens the database of `[store]` for a command
    audit_entry  writes an operator's action to the audit log
    key_work     what the commands of `gateway keys` and `gateway teams` have in common
    known_processes  what commands know of the processes of a gateway, and tell them
    options      the types of options that several commands have
    moments      times as people write them
    program      what the person calls this program
    announcement what `gateway serve` says at the start

Start here and with `command_line`, then read the module of the command in question.
"""

from __future__ import annotations

import os
import sys

from .serving.plain_arguments import plain_arguments
from .serving.start import start


def main() -> None:
    """Run the command line and exit with its status."""
    _fill_standard_descriptors()
    arguments = plain_arguments(sys.argv[1:])
    if arguments is not None:
        raise SystemExit(start(arguments))
    # Imported late: a process that serves would have all of it for as long as it lives.
    from .command_line import run

    raise SystemExit(run())


def _fill_standard_descriptors() -> None:
    # A process that is started with stdout closed gives descriptor 1 to its next socket, and would
    # write the request log into it.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    # Python has no stream for one that was closed, and everything writes to `sys.stderr`.
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  # for as long as the process lives
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
