from __future__ import annotations

import pytest

from gateway.core.wire.form_data import FormScanner, InvalidForm, boundary_of

MODEL = b'Content-Disposition: form-data; name="model"\r\n\r\n'
FILE = (
    b'Content-Disposition: form-data; name="file"; filename="a \\"b\\".mp3"\r\n'
    b"Content-Type: audio/mpeg\r\n\r\n"
)


def form(*parts: bytes, end: bytes = b"--X--\r\n") -> bytes:
    return b"".join(b"--X\r\n" + part + b"\r\n" for part in parts) + end


def scan(data: bytes, size: int = 10_000) -> FormScanner:
    scanner = FormScanner(b"X", ("model",))
    for at in range(0, len(data), size):
        scanner.feed(data[at : at + size])
        assert len(scanner._rest) < size + 9000
    return scanner


def test_the_field_is_found_wherever_it_stands_on_every_split() -> None:
    tricky = FILE + b"\r\n--x\r\n--\r\n--Y\r\r\n-" + bytes(range(256)) * 9
    for data in (
        form(MODEL + b"whisper-1", tricky),
        form(tricky, MODEL + b"whisper-1", tricky),
        form(tricky, MODEL + b"whisper-1", end=b"--X--"),
    ):
        for size in (1, 2, 3, 5, 8, 13, 1000, 100_000):
            scanner = scan(data, size)
            field = scanner.fields["model"]
            assert field.value == "whisper-1"
            assert data[field.start : field.end] == b"whisper-1"
            assert scanner.ended


def test_values_that_are_empty_or_strange() -> None:
    for value in (b"", b"\r\n", "mödel/x".encode(), b"a\r\nb"):
        data = form(MODEL + value)
        field = scan(data).fields["model"]
        assert data[field.start : field.end] == value == field.value.encode()
    assert scan(form(FILE)).fields == {}
    assert not scan(form(FILE, end=b"")).ended


@pytest.mark.parametrize(
    "data",
    [
        form(MODEL + b"a", MODEL + b"b"),
        form(MODEL + b"a", b'Content-Disposition: form-data; name="Model"\r\n\r\nb'),
        form(b'Content-Disposition: form-data; name="model "\r\n\r\nb'),
        form(b'Content-Disposition: form-data; name="model[]"\r\n\r\nb'),
        form(b'Content-Disposition: form-data; name="mod\\el"\r\n\r\nb'),
        form(b'Content-Disposition: form-data; name="a"; name="model"\r\n\r\nb'),
        form(b"Content-Disposition: form-data; name*=UTF-8''model\r\n\r\nb"),
        form(b'Content-Disposition: form-data; name="model"; filename="m"\r\n\r\nb'),
        form(b'Content-Disposition: form-data;\r\n name="model"\r\n\r\nb'),
        form(b'Content-Disposition: form-data; name="x"\nX: y\r\n\r\nb'),
        form(b'Content-Disposition: attachment; name="x"\r\n\r\nb'),
        form(b"Content-Type: text/plain\r\n\r\nb"),
        form(b"Content-Transfer-Encoding: base64\r\n" + MODEL + b"YQ=="),
        form(MODEL + b"m" * 2000),
        form(MODEL.replace(b"\r\n", b"\r\nX: %b\r\n" % (b"y" * 9000), 1) + b"a"),
        form(FILE + b"\r\n--XY\r\n"),
        b"preamble\r\n" + form(MODEL + b"a"),
        b"\r\n" + form(MODEL + b"a"),
        form(*[FILE] * 1001),
        form(b'Content-Disposition: form-data; name="model"\r\n\r\n\xff'),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(data: bytes) -> None:
    for size in (1, 10_000_000):
        with pytest.raises(InvalidForm):
            scan(data, size)


def test_boundaries() -> None:
    for kind, boundary in (
        (b"multipart/form-data; boundary=abc", b"abc"),
        (b'Multipart/Form-Data; charset=utf-8; boundary="a b:c"', b"a b:c"),
        (b"multipart/form-data; boundary=abc; charset=utf-8", b"abc"),
        (b"multipart/form-data", None),
        (b"multipart/form-data; boundary=", None),
        (b"multipart/form-data; boundary=a; boundary=b", None),
        (b'multipart/form-data; boundary="a "', None),
        (b"multipart/mixed; boundary=abc", None),
        (b"application/json", None),
    ):
        assert boundary_of(kind) == boundary, kind
