"""`gateway check`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from ...config import load
from ...config.checks.advice import advice
from ...config.checks.facts import guessed_counts
from ...config.checks.file_mode import readable_secrets
from ...config.checks.oversights import of_tree
from ...config.paths import config_path
from ...config.sources.state import find_state
from ...config.sources.text import parse_toml, read_text
from ...errors import ConfigError, GatewayError
from ...providers.facts.current import NAME, current_book
from ..output.plain_text import printable_line


def check_file(file: Path | None) -> int:
    """Print what is wrong with `file` and return 1, or that nothing is and return 0."""
    path = file or config_path()
    try:
        config = load.load(path)
        if config.server.tls is not None:
            # Imported late: it brings Trio along.
            from ...serve.surroundings.tls import Certificates

            Certificates(config.server.tls, path.absolute().parent)
    except ConfigError as exc:
        report(exc)
        return 1
    tree = parse_toml(read_text(path) or "", str(path))
    try:
        book = current_book(find_state(path) or path.absolute().parent)
    except (OSError, ValueError) as exc:
        sys.stderr.write(f"note: {NAME}: {exc}; prices are those of the package\n")
        book = None
    for note in (*of_tree(tree), *advice(config, time.time(), book), *guessed_counts(config)):
        sys.stderr.write(f"note: {path}: {note}\n")
    if (exposed := readable_secrets(path)) is not None:
        sys.stderr.write(f"note: {path}: {exposed}\n")
    models = len(config.models)
    sys.stdout.write(
        f"{path}: valid; {_count(models, 'model')}, "
        f"{_count(len(config.providers), 'provider')}, {_count(len(config.tokens), 'token')}\n"
    )
    return 0


def report(error: ConfigError) -> None:
    """Print the problems to stderr, one a line."""
    for problem in error.problems:
        sys.stderr.write(f"error: {problem}\n")


def failed(error: ConfigError | GatewayError) -> int:
    """Print why a command has come to nothing; return its exit status."""
    if isinstance(error, ConfigError):
        report(error)
    else:
        sys.stderr.write(f"error: {printable_line(error.message)}\n")
    return 1


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
