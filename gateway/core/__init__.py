"""Pure decisions and codecs: bytes in, events out.

Nothing here does I/O, reads a clock or draws a random number: `now` and `rng` are arguments.
The package imports the standard library, msgspec and `gateway.errors`, also indirectly. So its
1,900 tests need no event loop and take about ten seconds: `.venv/bin/pytest tests/core`.
"""
