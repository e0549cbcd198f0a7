"""What holds of the table `[state]`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...core.state_server import StateServer, WrongAddress, state_address


def check_state(state: StateServer, *, on_disk: bool) -> Iterator[str]:
    """Yield what is wrong; `on_disk` says whether to look for the file that it names."""
    if not state.url:
        for key in ("username", "password", "sentinel_username", "sentinel_password", "ca_file"):
            if getattr(state, key):
                yield f"[state] {key}: is for a server, and url names none; set url or remove this"
        return
    try:
        address = state_address(state.url)
    except WrongAddress as exc:
        # Never quoted: there may be a password in it.
        yield f"[state] url: {exc}"
        return
    for key, given in (("username", address.username), ("password", address.password)):
        if given and getattr(state, key):
            yield f"[state] {key}: url has one as well; remove one of them"
    if state.username and not (state.password or address.password):
        yield "[state] username: needs a password; write it as ${NAME}"
    if address.kind != "sentinel":
        for key in ("sentinel_username", "sentinel_password"):
            if getattr(state, key):
                yield f"[state] {key}: url names no sentinels; remove it"
    if state.ca_file and not address.tls:
        yield "[state] ca_file: url is without TLS; write rediss:// or remove this"
    elif on_disk and state.ca_file and not Path(state.ca_file).is_file():
        yield f"[state] ca_file: there is no file {state.ca_file!r}"
