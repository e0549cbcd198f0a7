"""The process that counts: a request a line on its stdin, an answer a line on its stdout.

It is run as a file, and so imports nothing of the gateway. A request is `[number, encoding,
texts]`, its answer `[number, tokens]`. It ends when its stdin does.
"""

from __future__ import annotations

import json
import signal
import sys
from typing import Protocol


class _Tokenizer(Protocol):
    def count(self, text: str, /) -> int: ...


def main() -> None:
    # Ctrl-C reaches everyone at the terminal; the gateway ends this process when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The wrapper around it has no count, and keeps each table twice.
    from bpe_openai._bindings import tokenizer_for_encoding

    loaded: dict[str, _Tokenizer] = {}
    for line in sys.stdin.buffer:
        number, encoding, texts = json.loads(line)
        if encoding not in loaded:
            loaded[encoding] = tokenizer_for_encoding(encoding)
        tokens = sum(map(loaded[encoding].count, texts))
        sys.stdout.buffer.write(b"[%d,%d]\n" % (number, tokens))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
