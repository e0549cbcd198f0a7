"""Data on models that an operator brings: fetched, checked and put into the state folder."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import trio

from ... import __version__
from ...core.routing.call import Call, Origin
from ...errors import ConfigError
from ...interrupts import leave_to_trio
from ...providers.facts.book import BookHead, ModelBook, check_book, read_book, written
from ...providers.facts.current import NAME, bundled_book, current_book
from ...providers.facts.foreign import convert, is_foreign, read_json
from ...stops import running_after
from ...transport_errors import UpstreamFailure
from ...upstream.resolver import Resolver
from ...upstream.transport import Transport

_SECONDS: Final = 60.0
# LiteLLM's table has 3.5 MB.
_MOST: Final = 32 * 1024 * 1024
_HOPS: Final = 3
_MOVED: Final = (301, 302, 303, 307, 308)


def fetched(source: str) -> bytes:
    """Return what stands in a file or behind a URL. Raises ConfigError."""
    if "://" not in source:
        try:
            data = Path(source).read_bytes()
        except OSError as exc:
            raise ConfigError([f"{source}: {exc.strerror or exc}"]) from exc
        return data
    leave_to_trio()
    found = trio.run(_fetched, source)
    if isinstance(found, str):
        raise ConfigError([f"{source}: {found}"])
    return found


async def _fetched(source: str) -> bytes | str:
    """Return the body, or what failed."""
    trio.socket.set_custom_hostname_resolver(Resolver())
    transport = Transport()
    with running_after(_SECONDS):
        try:
            found: bytes | str | _Moved = _Moved(source)
            for _ in range(_HOPS):
                if not isinstance(found, _Moved):
                    break
                call = _call(found.url)
                found = call if isinstance(call, str) else await _answer(transport, call)
            return "is moved on and on" if isinstance(found, _Moved) else found
        except (UpstreamFailure, OSError) as exc:
            return f"cannot be fetched: {exc}"
        finally:
            await transport.aclose()
    return f"does not come within {_SECONDS:g} s"


class _Moved(NamedTuple):
    url: str


async def _answer(transport: Transport, call: Call) -> bytes | str | _Moved:
    response = await transport.request(call)
    try:
        location = dict(response.headers).get(b"location", b"").decode("latin-1")
        if response.status in _MOVED and location:
            return _Moved(location)
        if response.status != 200:
            return f"answers {response.status}"
        body = bytearray()
        while data := await response.receive_some():
            body += data
            if len(body) > _MOST:
                return f"has more than {_MOST} bytes"
        return bytes(body)
    finally:
        await response.aclose()


def _call(url: str) -> Call | str:
    """Return the GET, or why there is none: prices that come unprotected may be anyone's."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is no URL"
    host = parts.hostname or ""
    local = host in ("127.0.0.1", "::1", "localhost")
    if not host or parts.scheme not in ("http", "https") or not url.isascii():
        return "is no URL that begins with https://"
    if parts.scheme == "http" and not local:
        return "comes without TLS; give a URL that begins with https://"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Call(
        origin=Origin(parts.scheme, host, port or (443 if parts.scheme == "https" else 80)),
        method=b"GET",
        target=target.encode("ascii"),
        headers=(
            (b"accept", b"application/json"),
            (b"accept-encoding", b"identity"),
            (b"user-agent", f"gateway/{__version__}".encode()),
        ),
        body=b"",
        connect_timeout=10.0,
    )


def placed(data: bytes, source: str, folder: Path, *, force: bool) -> dict[str, Any]:
    """Put `data` into `folder` as the book to go by, and return what it is.

    Raises ConfigError, also where it knows so little that it can hardly be meant.
    """
    try:
        book, text = _book(data)
        count, now = check_book(book), check_book(_known(folder))
    except ValueError as exc:
        raise ConfigError([f"{source}: {exc}"]) from exc
    if not count or (count < now / 2 and not force):
        raise ConfigError(
            [f"{source}: has {count} models, and {now} are known now; --force takes it"]
        )
    if book.head.made < bundled_book().head.made:
        raise ConfigError(
            [
                f"{source}: is of {book.head.made}, and the package brings data of"
                f" {bundled_book().head.made}, which go before"
            ]
        )
    file = folder / NAME
    new = file.with_name(f"{NAME}.new")
    try:
        new.write_bytes(text)
        new.replace(file)
    except OSError as exc:
        raise ConfigError([f"{file}: {exc.strerror or exc}"]) from exc
    return {
        "label": book.label,
        "made": book.head.made,
        "models": count,
        "providers": len(book.providers),
    }


def _known(folder: Path) -> ModelBook:
    try:
        return current_book(folder)
    except (OSError, ValueError):
        # What is there cannot be used: it is about to be replaced.
        return bundled_book()


def _book(data: bytes) -> tuple[ModelBook, bytes]:
    """Return a book and its text. Raises ValueError for what is none."""
    try:
        found = read_json(data)
    except RecursionError as exc:
        raise ValueError("is nested too deeply") from exc
    if not is_foreign(found):
        return read_book(data), data
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    digest = hashlib.sha256(data).hexdigest()[:8]
    head = BookHead(
        source="litellm",
        version=f"{today}-{digest}",
        made=today,
        licence="MIT (github.com/BerriAI)",
    )
    text = written(head, convert(found))
    return read_book(text), text
