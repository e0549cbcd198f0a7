"""The session's cookie, as browsers send it and as others may."""

from __future__ import annotations

import pytest

from gateway.admin.accounts.cookies import clear_cookie, session_tokens, set_cookie

pytestmark = pytest.mark.slow

A, B = "a" * 43, "b" * 43


@pytest.mark.parametrize(
    ("values", "tokens"),
    [
        ([], ()),
        ([f"gateway_session={A}"], (A,)),
        ([f"x=1; gateway_session={A};y=2"], (A,)),
        ([f"gateway_session={A}; gateway_session={A}"], (A,)),
        ([f"gateway_session={A}; gateway_session={B}"], (A, B)),
        ([f"gateway_session={A}", f"gateway_session={B}"], (A, B)),
        (["gateway_session="], ()),
        (["gateway_session"], ()),
        ([f'gateway_session="{A}"'], ()),
        ([f"Gateway_Session={A}"], ()),
        ([f"my_gateway_session={A}"], ()),
        (["gateway_session=\xff" + A[1:]], ()),
        (["; ;=;"], ()),
    ],
)
def test_what_is_read(values: list[str], tokens: tuple[str, ...]) -> None:
    headers = [(b"cookie", value.encode("latin-1")) for value in values]
    assert session_tokens([(b"host", b"x"), *headers]) == tokens


def test_what_is_set() -> None:
    plain = f"gateway_session={A}; Path=/admin; Max-Age=60; HttpOnly; SameSite=Lax"
    assert set_cookie(A, secure=False, seconds=60) == plain
    assert set_cookie(A, secure=True, seconds=60) == f"{plain}; Secure"
    assert clear_cookie(secure=True).startswith("gateway_session=; Path=/admin; Max-Age=0;")
