"""Formats of images, documents and sounds: Bedrock has words for them, other APIs media types."""

from __future__ import annotations

from typing import Final

IMAGES: Final = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
}
_WORD: Final = "application/vnd.openxmlformats-officedocument."
DOCUMENTS: Final = {
    "pdf": "application/pdf",
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": f"{_WORD}wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": f"{_WORD}spreadsheetml.sheet",
    "html": "text/html",
    "txt": "text/plain",
    "md": "text/markdown",
}
_ALSO: Final = {"image/jpg": "jpeg", "text/x-markdown": "md", "application/csv": "csv"}
_FORMATS: Final = {
    kind: name for table in (IMAGES, DOCUMENTS) for name, kind in table.items()
} | _ALSO


def format_of(media_type: str) -> str | None:
    """Return Bedrock's word for a media type; None if it has none."""
    return _FORMATS.get(media_type.partition(";")[0].strip().lower())
