"""Credentials of an AWS account that expire: those of a profile, a role, a container or a machine.

botocore looks for them where all of Amazon's SDKs do (boto3's guide, "Credentials"): variables,
`~/.aws`, single sign-on, a web identity, the container's or the machine's endpoint. It may ask
servers, and blocks meanwhile: `resolve` is for a thread.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from ...transport_errors import CredentialUnavailable
from ..oauth import FetchedToken, lasting
from ..tokens.sources import DEFAULT_PROFILE, AwsAccount
from .signing import AccessKey

# Seconds for each answer of a server, and how long credentials without an end are believed: files
# may have been replaced by then.
_ANSWER_SECONDS: Final = 4.0
_LIFE: Final = 900.0
_SESSION_NAME: Final = "trio-gateway"


def resolve(account: AwsAccount, epoch: float) -> FetchedToken:
    """Return an access key that is valid at `epoch`, as JSON. Raises CredentialUnavailable."""
    try:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.session import Session
    except ModuleNotFoundError as exc:
        raise CredentialUnavailable("botocore is not installed: add the extra bedrock") from exc
    named = account.profile != DEFAULT_PROFILE and account.key is None
    try:
        session: Any = Session(profile=account.profile if named else None)
        session.set_config_variable("region", account.region)
        if account.key is not None:
            session.set_credentials(account.key.id, account.key.secret, account.key.token)
        if account.role:
            limits = Config(
                connect_timeout=_ANSWER_SECONDS,
                read_timeout=_ANSWER_SECONDS,
                retries={"total_max_attempts": 1},
            )
            client = session.create_client("sts", region_name=account.region, config=limits)
            asked = {"ExternalId": account.external_id} if account.external_id else {}
            found = client.assume_role(
                RoleArn=account.role, RoleSessionName=_SESSION_NAME, **asked
            )["Credentials"]
            return _token(
                AccessKey(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]),
                found["Expiration"],
                epoch,
            )
        credentials = session.get_credentials()
        if credentials is None:
            raise CredentialUnavailable("there are no AWS credentials where botocore looks")
        now = credentials.get_frozen_credentials()
        # Private, but the only place where it stands.
        end = getattr(credentials, "_expiry_time", None)
        return _token(AccessKey(now.access_key, now.secret_key, now.token), end, epoch)
    except (BotoCoreError, ClientError, OSError, ValueError) as exc:
        # The texts name profiles, files, roles and codes, and no secret.
        raise CredentialUnavailable(f"AWS credentials: {str(exc)[:300]}") from exc


def _token(key: AccessKey, end: datetime | None, epoch: float) -> FetchedToken:
    seconds = _LIFE if end is None else end.timestamp() - epoch
    if not seconds > 0:
        raise CredentialUnavailable("the AWS credentials have expired already")
    return lasting(msgspec.json.encode(key), seconds, epoch)
