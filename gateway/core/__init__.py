"""Pure decisions and codecs: bytes in, events out.

Nothing here does I/O, reads a clock or draws a random number: `now` and `rng` are arguments.
The package imports the standard library, msgspec and `gateway.errors`, and is tested without
Trio in about a second.
"""
