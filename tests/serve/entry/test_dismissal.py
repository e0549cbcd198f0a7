"""The answer to those for whom there is no room."""

import h11

from gateway.serve.entry.dismissal import Dismissal


def read(answer: bytes, method: str = "POST") -> tuple[h11.Response, bytes]:
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("host", "a")]))
    client.receive_data(answer)
    response, body = client.next_event(), client.next_event()
    assert isinstance(response, h11.Response)
    return response, bytes(body.data) if isinstance(body, h11.Data) else b""


def test_says_when_to_come_back_and_whether_the_connection_stays() -> None:
    refusal = Dismissal(lambda: [(b"date", b"today")])
    ids, waits = set(), set()
    for close in 10 * [True, False]:
        response, body = read(refusal.render(b"POST / HTTP/1.1\r\n", close=close))
        headers = dict(response.headers)
        assert response.status_code == 503
        assert headers[b"connection"] == (b"close" if close else b"keep-alive")
        assert headers[b"date"] == b"today"
        assert len(body) == int(headers[b"content-length"]) > 0
        ids.add(headers[b"x-request-id"])
        waits.add(int(headers[b"retry-after"]))
    assert len(ids) == 20
    # Spread, or all would come back at once.
    assert waits == {1, 2, 3, 4, 5}


def test_a_head_request_gets_no_body() -> None:
    assert read(Dismissal(list).render(b"HEAD / HTTP/1.1\r\n", close=True), "HEAD")[1] == b""


def test_follows_the_date() -> None:
    fields = [(b"date", b"one")]
    refusal = Dismissal(lambda: fields)
    assert b"date: one" in refusal.render(b"", close=True)
    fields = [(b"date", b"two")]
    found = [refusal.render(b"", close=True) for _ in range(5)]
    assert all(b"date: two" in each for each in found)
