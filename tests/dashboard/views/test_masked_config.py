"""No secret of a configuration is shown, wherever it may stand."""

from __future__ import annotations

import msgspec

from gateway.config.schema import Config, Store, TracingConfig
from gateway.core.sign_in import AdminSettings, OidcSettings
from gateway.dashboard.views.masked_config import masked_tables, without_login


def test_no_secret_is_shown() -> None:
    config = Config(
        store=Store(url="postgresql://gateway:hunter2@db.example/gateway?password=hunter3"),
        admin=AdminSettings(
            oidc=OidcSettings(
                issuer="https://login.example", client_id="gw", client_secret="hunter7", roles={}
            )
        ),
        tracing=TracingConfig(
            endpoint="https://user:hunter4@otel.example/v1/traces?key=hunter5",
            headers={"authorization": "Bearer hunter6"},
        ),
    )
    text = msgspec.json.encode(masked_tables(config)).decode()
    assert "hunter" not in text
    assert "db.example/gateway" in text
    assert "x-session-id" in text
    assert not {"providers", "models", "tokens", "admins"} & masked_tables(config).keys()


def test_a_login_is_taken_out_of_an_address() -> None:
    assert without_login("http://a:b@c/d") == "http://[hidden]@c/d"
    assert without_login("http://c/d") == "http://c/d"
