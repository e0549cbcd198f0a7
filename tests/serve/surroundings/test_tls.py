from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trio
import trustme

from gateway.config.listener.server import ServerTls
from gateway.errors import ConfigError
from gateway.serve.surroundings.tls import Certificates, TlsListener

FILES = ServerTls(cert="tls.crt", key="tls.key")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def issue(authority: trustme.CA, folder: Path, *names: str) -> trustme.LeafCert:
    made = authority.issue_cert(*(names or ("localhost",)))
    made.private_key_pem.write_to_path(folder / "tls.key")
    (folder / "tls.crt").write_bytes(b"".join(each.bytes() for each in made.cert_chain_pems))
    authority.cert_pem.write_to_path(folder / "ca.crt")
    return made


def client(authority: trustme.CA, *protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


async def met(
    listener: TlsListener, context: ssl.SSLContext, address: tuple[str, int]
) -> tuple[str | None, dict[str, object]]:
    """Return what ALPN has chosen and the server's certificate, as a client sees them.

    Raises BrokenResourceError if there was no handshake.
    """
    found: list[tuple[str | None, dict[str, object]]] = []

    async def serve() -> None:
        stream = await listener.accept()
        try:
            await stream.do_handshake()
            await stream.send_all(b"hello")
        except trio.BrokenResourceError:
            pass  # the client says why
        finally:
            await trio.aclose_forcefully(stream)

    async def call() -> None:
        raw = await trio.open_tcp_stream(*address)
        stream = trio.SSLStream(raw, context, server_hostname="localhost", https_compatible=True)
        try:
            # A certificate that was wanted is missed only after the client's own handshake.
            if await stream.receive_some() == b"hello":
                found.append((stream.selected_alpn_protocol(), dict(stream.getpeercert())))
        except trio.BrokenResourceError:
            pass
        finally:
            await trio.aclose_forcefully(raw)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        nursery.start_soon(call)
    if not found:
        raise trio.BrokenResourceError("refused")
    return found[0]


class Served:
    def __init__(self, certificates: Certificates | None, context: ssl.SSLContext | None) -> None:
        self.sock = trio.socket.socket()
        self._certificates, self._context = certificates, context

    async def __aenter__(self) -> Served:
        await self.sock.bind(("127.0.0.1", 0))
        self.sock.listen()
        inner = trio.SocketListener(self.sock)
        self.listener = TlsListener(self._certificates, inner, self._context, https_compatible=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.listener.aclose()

    async def meet(self, context: ssl.SSLContext) -> tuple[str | None, dict[str, object]]:
        return await met(self.listener, context, self.sock.getsockname())


@pytest.mark.parametrize(
    ("offered", "taken"),
    [((), None), (("h2", "http/1.1"), "http/1.1"), (("http/1.1",), "http/1.1"), (("h2",), None)],
)
@pytest.mark.parametrize("by_hypercorn", [False, True])
async def test_http_2_is_never_offered(
    tmp_path: Path,
    authority: trustme.CA,
    offered: tuple[str, ...],
    taken: str | None,
    by_hypercorn: bool,
) -> None:
    issue(authority, tmp_path)
    certificates = Certificates(FILES, tmp_path)
    context = None
    if by_hypercorn:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
        context.set_alpn_protocols(["h2", "http/1.1"])
    async with Served(None if by_hypercorn else certificates, context) as served:
        chosen, _ = await served.meet(client(authority, *offered))
        assert chosen == taken


async def test_what_is_older_than_tls_1_2_is_refused(tmp_path: Path, authority: trustme.CA) -> None:
    issue(authority, tmp_path)
    assert Certificates(FILES, tmp_path).context.minimum_version == ssl.TLSVersion.TLSv1_2


async def test_a_renewed_certificate_is_shown_to_who_comes_next(
    tmp_path: Path, authority: trustme.CA
) -> None:
    issue(authority, tmp_path)
    certificates = Certificates(FILES, tmp_path)
    async with Served(certificates, None) as served:
        _, before = await served.meet(client(authority))
        issue(authority, tmp_path, "localhost", "renewed.example.com")
        _, still = await served.meet(client(authority))
        assert before == still
        certificates.renew()
        _, after = await served.meet(client(authority))
        assert ("DNS", "renewed.example.com") in after["subjectAltName"]  # type: ignore[operator]

        # One that is half written is not taken.
        (tmp_path / "tls.crt").write_text("-----BEGIN CERT")
        with pytest.raises(ConfigError):
            certificates.renew()
        _, again = await served.meet(client(authority))
        assert again == after


async def test_clients_need_a_certificate_if_that_is_wanted(
    tmp_path: Path, authority: trustme.CA
) -> None:
    issue(authority, tmp_path)
    certificates = Certificates(
        ServerTls(cert="tls.crt", key="tls.key", client_ca="ca.crt"), tmp_path
    )
    async with Served(certificates, None) as served:
        with pytest.raises(trio.BrokenResourceError):
            await served.meet(client(authority))
        known = client(authority)
        authority.issue_cert("me@example.com").configure_cert(known)
        await served.meet(known)
        stranger = client(authority)
        trustme.CA().issue_cert("me@example.com").configure_cert(stranger)
        with pytest.raises(trio.BrokenResourceError):
            await served.meet(stranger)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("tls.crt", None, "cert: {}/tls.crt: cannot be read: No such file"),
        ("tls.key", None, "key: {}/tls.key: cannot be read: No such file"),
        ("tls.crt", "nonsense", "cert, key: {0}/tls.crt, {0}/tls.key: "),
        ("tls.key", "nonsense", "cert, key: {0}/tls.crt, {0}/tls.key: "),
        ("tls.key", "other", "cert, key: {0}/tls.crt, {0}/tls.key: key values mismatch"),
        ("ca.crt", None, "client_ca: {}/ca.crt: cannot be read: No such file"),
        ("ca.crt", "nonsense", "client_ca: {}/ca.crt: "),
    ],
)
def test_files_that_cannot_be_used_are_named(
    tmp_path: Path, authority: trustme.CA, name: str, content: str | None, says: str
) -> None:
    issue(authority, tmp_path)
    file = tmp_path / name
    if content is None:
        file.unlink()
    elif content == "other":
        authority.issue_cert("other").private_key_pem.write_to_path(file)
    else:
        file.write_text(content)
    with pytest.raises(ConfigError) as caught:
        Certificates(ServerTls(cert="tls.crt", key="tls.key", client_ca="ca.crt"), tmp_path)
    (problem,) = caught.value.problems
    assert problem.startswith(f"[server.tls] {says.format(tmp_path)}")
    assert "nonsense" not in problem


def test_an_encrypted_key_asks_nobody_for_a_password(tmp_path: Path, authority: trustme.CA) -> None:
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    issue(authority, tmp_path)
    file = tmp_path / "tls.key"
    key = load_pem_private_key(file.read_bytes(), None)
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    )
    with pytest.raises(ConfigError, match="the key is encrypted"):
        Certificates(FILES, tmp_path)
