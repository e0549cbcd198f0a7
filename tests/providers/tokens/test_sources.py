from __future__ import annotations

from pathlib import Path

import pytest

from gateway.providers.tokens.sources import GoogleAccount, read_account
from gateway.transport_errors import CredentialUnavailable


def test_where_the_credentials_of_an_account_are_looked_for(tmp_path: Path) -> None:
    """cloud.google.com/docs/authentication/application-default-credentials, in its order."""
    usual = GoogleAccount()
    assert read_account(usual, {}, tmp_path) is None
    folder = tmp_path / ".config" / "gcloud"
    folder.mkdir(parents=True)
    (folder / "application_default_credentials.json").write_bytes(b"person")
    assert read_account(usual, {}, tmp_path) == b"person"
    assert read_account(usual, {"CLOUDSDK_CONFIG": str(tmp_path)}, tmp_path) is None
    (tmp_path / "a.json").write_bytes(b"a")
    named = {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "a.json")}
    assert read_account(usual, named, tmp_path) == b"a"
    (tmp_path / "b.json").write_bytes(b"b")
    assert read_account(GoogleAccount(file=str(tmp_path / "b.json")), named, tmp_path) == b"b"
    with pytest.raises(CredentialUnavailable, match="cannot be read: No such file"):
        read_account(GoogleAccount(file=str(tmp_path / "c.json")), named, tmp_path)
