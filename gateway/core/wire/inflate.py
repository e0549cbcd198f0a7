"""Bodies in a content-encoding that was not asked for (RFC 9110 section 8.4), in bounded pieces.

The gateway asks for `identity`, and some servers compress all the same. gzip and deflate are
inflated here, by the standard library, which can stop after any number of bytes: a few kilobytes
of input may stand for gigabytes. `br` and `zstd` are told apart and no more: reading them takes
a C library each, for servers that disregard what they were asked twice over.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Final

# As much as one read of a socket brings (upstream/connection.py reads 32 KiB).
PIECE: Final = 64 * 1024

_GZIP_MAGIC: Final = b"\x1f\x8b"
# How a zlib stream begins at the levels that are in use (RFC 1950 section 2.2). The fourth form,
# `x^`, could be text, and so it is not told without a header.
_ZLIB_MAGICS: Final = (b"\x78\x01", b"\x78\x9c", b"\x78\xda")
# RFC 8878 section 3.1.1. Brotli has no magic number.
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_MAGICS: Final = (_GZIP_MAGIC, *_ZLIB_MAGICS, _ZSTD_MAGIC)
_GZIP: Final = frozenset({b"gzip", b"x-gzip"})
_IDENTITY: Final = frozenset({b"", b"identity"})


class Damaged(ValueError):
    """A body is not in the encoding that its headers name."""


class UnknownEncoding(ValueError):
    """A body is in an encoding that the gateway doesn't read. `name` is for messages."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the body is compressed as {name}")
        self.name = name


def inflater(headers: Sequence[tuple[bytes, bytes]]) -> Inflater | None:
    """Return what reads a body with these headers; None if it is plain. Raises UnknownEncoding."""
    for name, value in headers:
        if name == b"content-encoding" and value.strip().lower() not in _IDENTITY:
            return _inflater(b",".join(v for n, v in headers if n == name))
    return None


def may_be_packed(start: bytes) -> bool:
    """Say whether more than `start` is needed to tell whether a body is compressed."""
    return any(start != magic and magic.startswith(start) for magic in _MAGICS)


def undeclared(start: bytes) -> Inflater | None:
    """Return what reads a body that begins so, though no header says that it is compressed.

    None: it is not. Neither JSON nor a stream of events begins like this. Raises UnknownEncoding.
    """
    if start.startswith(_GZIP_MAGIC):
        return Inflater(gzip=True)
    if start.startswith(_ZLIB_MAGICS):
        return Inflater(gzip=False)
    if start.startswith(_ZSTD_MAGIC):
        raise UnknownEncoding("zstd")
    return None


def _inflater(value: bytes) -> Inflater | None:
    codings = [each.strip().lower() for each in value.split(b",")]
    codings = [each for each in codings if each not in _IDENTITY]
    if len(codings) == 1 and codings[0] in _GZIP:
        return Inflater(gzip=True)
    if codings == [b"deflate"]:
        return Inflater(gzip=False)
    name = b", ".join(codings).decode("latin-1")
    raise UnknownEncoding(name[:40] if name.isprintable() else "something unreadable")


class Inflater:
    """Reads one body. Plain bytes under the name of an encoding stay as they are.

    A proxy in between may have inflated a body and left its header, so gzip is told by its
    first two bytes. `deflate` means zlib's format (RFC 9110 section 8.4.1.2), and some servers
    send the bare one. A body that ends early gives what there is: the framing of HTTP says
    whether it was cut, and its reader whether it is whole.
    """

    __slots__ = ("_gzip", "_head", "_plain", "_rest", "_stream")

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._head = b""
        self._rest = b""
        self._plain = False
        self._stream: zlib._Decompress | None = None

    def __repr__(self) -> str:
        name = "gzip" if self._gzip else "deflate"
        return f"<Inflater of {'plain bytes' if self._plain else name}>"

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` gives, in pieces of at most `PIECE` bytes. Raises Damaged."""
        if self._stream is None and not self._plain:
            self._head += data
            if len(self._head) < 2:
                return
            data, self._head = self._head, b""
            self._begin(data)
        if self._plain:
            yield data
            return
        try:
            yield from self._inflate(data)
        except zlib.error as exc:
            raise Damaged(f"the body is not what its content-encoding says: {exc}") from exc

    def end(self) -> bytes:
        """Return what is left when the body ends: a single byte that may have been anything."""
        head, self._head = self._head, b""
        return head

    def _begin(self, start: bytes) -> None:
        if self._gzip:
            self._plain = not start.startswith(_GZIP_MAGIC)
            self._stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
            return
        # RFC 1950 section 2.2: method 8, and the first two bytes are a multiple of 31.
        zlibs = start[0] & 0x0F == 8 and (start[0] << 8 | start[1]) % 31 == 0
        self._stream = zlib.decompressobj(wbits=zlib.MAX_WBITS if zlibs else -zlib.MAX_WBITS)

    def _inflate(self, data: bytes) -> Iterator[bytes]:
        while True:
            stream = self._stream
            assert stream is not None
            if stream.eof:
                # gzip may go on with another member (RFC 1952 section 2.2), and zeros or
                # anything else behind the last one is no part of it.
                data, self._rest = self._rest + data, b""
                if not self._gzip or len(data) < 2:
                    self._rest = data[:1]
                    return
                if not data.startswith(_GZIP_MAGIC):
                    return
                self._stream = stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
            piece = stream.decompress(data, PIECE)
            data = stream.unused_data if stream.eof else stream.unconsumed_tail
            if piece:
                yield piece
            if not data and (stream.eof or len(piece) < PIECE):
                return
