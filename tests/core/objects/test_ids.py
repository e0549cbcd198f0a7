from __future__ import annotations

from gateway.core.objects.families import object_path
from gateway.core.objects.ids import MOST, decoded, ids_in, looks_like_id, texts_in


def test_ids_are_found_however_they_are_written() -> None:
    assert texts_in(decoded(b'{"a": ["file\\u002dabcdef"], "b": {"c": "x y"}}')) == ["file-abcdef"]
    assert texts_in(None) == []
    many = b"[" + b",".join(b'"text%06d"' % n for n in range(MOST + 1)) + b"]"
    assert texts_in(decoded(many)) is None
    found = {
        "id": "3f2b-uuid",
        "output_file_id": "0a1b2c3d",
        "model": "gpt-4o-mini",
        "data": [{"note": "vs_abcdef1", "other": "just-text"}],
    }
    assert set(ids_in(found)) == {"3f2b-uuid", "0a1b2c3d", "vs_abcdef1"}
    assert looks_like_id("msgbatch_01AbCdEf")
    assert not looks_like_id("file-12")
    assert not looks_like_id("profile-abcdefg")


def test_paths() -> None:
    for path, found in (
        ("/v1/files", ("files", "", "")),
        ("/files/file-1/content", ("files", "file-1", "/content")),
        ("/v1/fine_tuning/jobs/x/events", ("fine_tuning/jobs", "x", "/events")),
        ("/v1/messages/batches/x", ("messages/batches", "x", "")),
        ("/v1/files/..", None),
        ("/v1/files/a/../b", None),
        ("/v1/files/a%20b", None),
        ("/v1/filesx", None),
        ("/v1/messages", None),
    ):
        assert object_path(path) == found, path
