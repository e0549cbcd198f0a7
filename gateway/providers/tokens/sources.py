"""Where tokens of clouds come from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from ...transport_errors import CredentialUnavailable
from ..aws.signing import AccessKey

# cloud.google.com/docs/authentication/application-default-credentials.
_VARIABLE: Final = "GOOGLE_APPLICATION_CREDENTIALS"
_FOLDER: Final = "CLOUDSDK_CONFIG"
_NAME: Final = "application_default_credentials.json"
_MOST: Final = 256 * 1024
# The profile that is no profile: whatever is found first.
DEFAULT_PROFILE: Final = "default"


class ManagedIdentity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The identity that Azure gives a machine; `client_id` chooses one that was assigned to it.

    `endpoint` is where the machine asks (learn.microsoft.com, "Azure Instance Metadata Service").
    """

    client_id: str = ""
    resource: str = "https://cognitiveservices.azure.com"
    endpoint: str = "http://169.254.169.254/metadata/identity/oauth2/token"


class GoogleAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account of Google Cloud: that of a file of credentials, "" for the application default.

    `metadata` is where a machine of Google's asks for the account that it runs as.
    """

    file: str = ""
    metadata: str = "http://metadata.google.internal"


class AwsAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whose credentials sign: a profile's, or those that `role` gives to them or to `key`."""

    region: str
    profile: str = DEFAULT_PROFILE
    role: str = ""
    external_id: str = ""
    key: AccessKey | None = None


def read_account(account: GoogleAccount, environ: Mapping[str, str], home: Path) -> bytes | None:
    """Return the credentials of an account; None if the machine's own are to be asked for.

    Read anew for every token, so that a file which was replaced counts. Raises
    CredentialUnavailable.
    """
    named = account.file or environ.get(_VARIABLE, "")
    folder = Path(environ.get(_FOLDER) or home / ".config" / "gcloud")
    path = Path(named) if named else folder / _NAME
    if not named and not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            return file.read(_MOST)
    except OSError as exc:
        reason = exc.strerror or str(exc)
        raise CredentialUnavailable(f"{path}: cannot be read: {reason}") from exc
