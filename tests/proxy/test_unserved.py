from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from gateway.proxy.unserved import LINES, LONGEST, OTHER, PERIOD, UnservedRequests, known_path


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("/v1/embeddings", "/embeddings"),
        ("/embeddings/", "/embeddings"),
        ("/v1/v1/v1/responses", "/responses"),
        ("/v1/responses/resp_123/input_items", "/responses"),
        ("/v1beta/models/gemini-3:generateContent", "/models"),
        ("/v1/messages/count_tokens", "/messages"),
        ("/v1", OTHER),
        ("/", OTHER),
        ("/wp-login.php", OTHER),
        ("/v1/embeddingsx", OTHER),
    ],
)
def test_paths_are_counted_by_what_is_known_of_them(path: str, known: str) -> None:
    assert known_path(path) == known


def test_whatever_is_asked_for_the_counts_are_few() -> None:
    unserved = UnservedRequests()
    for number in range(5000):
        unserved.note(f"M{number}", f"/v1/{number}", 404, 1.0)
        unserved.note("GET", f"/v1/files/{number}", 405, 1.0)
    assert dict(unserved.counts) == {
        (OTHER, OTHER, "404"): 5000,
        ("GET", "/files", "405"): 5000,
    }
    assert len(unserved._shown) <= LINES


def test_the_log_shows_each_path_once_and_few_a_minute() -> None:
    unserved = UnservedRequests()
    with capture_logs() as logs:
        for now in (1.0, 2.0):
            for number in range(LINES + 5):
                unserved.note("GET", f"/{number}", 404, now)
    assert [each["path"] for each in logs] == [f"/{number}" for number in range(LINES)]
    with capture_logs() as logs:
        unserved.note("GET", "/0", 404, PERIOD + 1)
    assert logs[0]["requests"] == 10
    assert (logs[1]["path"], logs[1]["method"], logs[1]["status"]) == ("/0", "GET", 404)


def test_a_path_in_the_log_is_harmless() -> None:
    unserved = UnservedRequests()
    with capture_logs() as logs:
        unserved.note("GET", "/a\n\x1b[31m\u2028é" + "x" * 9999, 404, 1.0)
    [line] = logs
    assert line["path"].startswith("/a??[31m??xxx")
    assert len(line["path"]) == LONGEST
