"""How `gateway debug` shows what was kept of requests."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from ...core.capture.transcript import Content, EventLine, Line, Transcript
from .columns import print_json
from .plain_text import printable_json, printable_line

_COLUMNS: Final = ("time", "id", "token", "model", "status", "end", "bytes")

# A line and the style that a terminal shows it in.
Styled = tuple[str, str]


def show(found: Sequence[Transcript]) -> None:
    """Print transcripts for people."""
    lines = [line for each in found for line in _shown(each)]
    if not sys.stdout.isatty():
        sys.stdout.write("".join(f"{printable_line(text)}\n" for text, _ in lines))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for text, style in lines:
        # As texts, since square brackets in a plain string are markup.
        console.print(Text(printable_line(text), style), soft_wrap=True)


def show_json(found: Sequence[Transcript]) -> None:
    """Print transcripts as an array of objects."""
    print_json(found)


def show_raw(found: Sequence[Transcript]) -> None:
    """Print the lines that transcripts are kept as."""
    for each in found:
        lines: list[Line | None] = [each.request, each.answer, *each.events, each.body, each.end]
        for line in lines:
            if line is not None:
                sys.stdout.write(f"{printable_json(msgspec.json.encode(line).decode())}\n")


def show_list(found: Sequence[tuple[Transcript, int]]) -> None:
    """Print a line for each; with each comes the size of its file in bytes."""
    rows = [_row(*each) for each in found]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(*_COLUMNS)
        for row in rows:
            table.add_row(*map(Text, row))
        Console().print(table)
        return
    widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
    for row in (_COLUMNS, *rows):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(f"{line.rstrip()}\n")


def _row(found: Transcript, size: int) -> tuple[str, ...]:
    request, record = found.request, (found.end and found.end.record) or {}
    status = record.get("status", found.answer.status if found.answer else "-")
    cells = (
        *(_time(request.time), request.id, request.token or "-", request.model or "-"),
        *(str(status), str(record.get("end_reason", "-")), str(size)),
    )
    return tuple(map(printable_line, cells))


def _shown(found: Transcript) -> list[Styled]:
    request, answer, end = found.request, found.answer, found.end
    lines = [
        (f"request {request.id}", "bold"),
        (f"{_time(request.time)}  token {request.token}, model {request.model}", ""),
        (f"{request.method} {request.target}", "cyan"),
        *_headers(request.headers),
        *_body(request.body),
    ]
    if request.truncated and request.size:
        lines.append((f"(cut off: it had {request.size} bytes)", "yellow"))
    lines.append(("", ""))
    if answer is None:
        lines.append(("no answer", "bold"))
    else:
        lines.append((f"answer {answer.status} after {answer.at_ms:.1f} ms", "bold"))
        lines += _headers(answer.headers)
    lines += [(_event(event), "") for event in found.events]
    if found.body is not None:
        lines += _body(found.body.body)
    if end is None:
        lines.append(("(the file ends here: it is damaged)", "yellow"))
    else:
        if end.lost:
            lines.append((f"(cut off: {end.lost} more bytes were sent)", "yellow"))
        lines += [("", ""), ("record", "bold"), *_pretty(msgspec.json.encode(end.record))]
    return [*lines, ("", "")]


def _headers(headers: Sequence[tuple[str, str]]) -> list[Styled]:
    return [(f"{name}: {value}", "dim") for name, value in headers]


def _body(body: Content) -> list[Styled]:
    if body.withheld is not None:
        return [(f"({body.withheld})", "yellow")]
    if body.encoding != "utf-8":
        return [(f"(base64) {body.text}", "")]
    return _pretty(body.text.encode())


def _pretty(text: bytes) -> list[Styled]:
    with contextlib.suppress(msgspec.DecodeError, RecursionError):
        # What is no JSON is shown as it came.
        text = msgspec.json.format(text, indent=2)
    return [(line, "") for line in text.decode().split("\n")]


def _event(event: EventLine) -> str:
    parts = [f"{event.at_ms:10.1f} ms"]
    if event.name:
        parts.append(f"event: {event.name}")
    if event.comment:
        parts.append(event.comment)
    if event.data is not None:
        parts.append(event.data)
    return "  ".join(parts)


def _time(seconds: float) -> str:
    when = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    return f"{when.isoformat(timespec='milliseconds')}Z"
