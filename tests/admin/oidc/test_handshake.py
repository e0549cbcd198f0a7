"""State, nonce and PKCE of one browser are those of no other."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from gateway.admin.accounts.redirects import HOME
from gateway.admin.oidc.handshake import COOKIE, Handshake, clear_handshake, handshake_of

pytestmark = pytest.mark.slow


def test_what_is_made_of_a_token_does_not_tell_the_rest() -> None:
    handshake = Handshake.begin()
    state = handshake.state("/admin/")
    made = {handshake.token, handshake.nonce, handshake.verifier, state.partition(".")[0]}
    assert len(made) == 4
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", handshake.verifier)
    digest = hashlib.sha256(handshake.verifier.encode()).digest()
    assert base64.urlsafe_b64decode(handshake.challenge + "=") == digest
    # The same in the process that takes the answer.
    assert Handshake(handshake.token) == handshake
    assert Handshake(handshake.token).verifier == handshake.verifier


@pytest.mark.parametrize("back", ["/admin/", "/admin/requests?model=a&since=24h"])
def test_a_state_has_where_to_go(back: str) -> None:
    handshake = Handshake.begin()
    state = handshake.state(back)
    assert handshake.back(state) == back
    assert Handshake.begin().back(state) is None


@pytest.mark.parametrize("back", ["https://evil.example", "//evil.example", ""])
def test_a_state_leads_nowhere_else(back: str) -> None:
    handshake = Handshake.begin()
    assert handshake.back(handshake.state(back)) == HOME


def test_a_state_cannot_be_changed() -> None:
    handshake = Handshake.begin()
    made, _, where = handshake.state("/admin/").partition(".")
    other = base64.urlsafe_b64encode(b"/admin/users").decode().rstrip("=")
    for wrong in ("", ".", made, f"{made}.", f"{made}.{other}", f".{where}", f"{made}.ü\udc80"):
        assert handshake.back(wrong) is None


def test_the_cookie() -> None:
    handshake = Handshake.begin()
    plain = f"{COOKIE}={handshake.token}; Path=/admin/api/oidc; Max-Age=600; HttpOnly; SameSite=Lax"
    assert handshake.cookie(secure=False) == plain
    assert handshake.cookie(secure=True) == f"{plain}; Secure"
    assert clear_handshake(secure=False).startswith(f"{COOKIE}=; Path=/admin/api/oidc; Max-Age=0;")
    sent = f"a=b; {COOKIE}={handshake.token}".encode()
    assert handshake_of([(b"cookie", sent)]) == handshake
    twice = sent + f"; {COOKIE}={'x' * 43}".encode()
    for wrong in (b"", b"a=b", f"{COOKIE}=x".encode(), twice):
        assert handshake_of([(b"cookie", wrong)]) is None
    assert handshake_of([]) is None
