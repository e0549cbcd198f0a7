"""Writes the description of the admin API to stdout: `python -m gateway.admin.controls`."""

from __future__ import annotations

import sys

import msgspec

from ..routes import all_routes
from .openapi import document

if __name__ == "__main__":
    text = msgspec.json.format(msgspec.json.encode(document(all_routes())), indent=1)
    sys.stdout.write(text.decode() + "\n")
