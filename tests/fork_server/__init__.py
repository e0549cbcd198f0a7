"""Processes of `python -m gateway` that start in a tenth of the time.

Most of a start goes into imports, which are the same each time, and the tests start hundreds of
processes. So one process imports them (`server`), and each start is a fork of it (`popen`), with
the command line, environment, folder and descriptors that are asked for. What runs is the same
code from `gateway.cli.main` on, and to the test it is a child process like any other.

Workers are started by their supervisor, as always. What depends on the start of an interpreter is
to be tested with the real one: `EXECUTED` in `tests/end_to_end/harness.py`.
"""
