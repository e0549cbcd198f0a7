"""What single functions of the gateway cost: one module each, with `run() -> dict[str, float]`.

`python -m bench.micro [NAME ...]` runs them all, or those named, and prints microseconds.
"""
