from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from gateway.config import load, schema
from gateway.config.keys.tables import Token
from gateway.config.listener.server import Server
from gateway.config.sources.shipped import SHIPPED
from gateway.core.cache.answers import ModelCache
from gateway.core.limits.budget import Budget
from gateway.core.routing.attempts import RetryOverrides
from gateway.core.routing.balancing.strategies import STRATEGIES
from gateway.core.routing.hedging import HedgePolicy
from gateway.core.routing.retry_budget import RetryBudgetPolicy
from gateway.core.routing.timeouts import TimeoutOverrides
from gateway.core.sign_in import OidcSettings
from gateway.errors import ConfigError
from gateway.providers import settings
from gateway.providers.registry import KINDS

# The tables that there are one of.
SINGLE: dict[str, type[msgspec.Struct]] = {
    field.name: field.type
    for field in msgspec.structs.fields(schema.Config)
    if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
}
KNOWN_KINDS = " or ".join(f'"{name}"' for name in KINDS)
DEMO = '[providers.demo]\nkind = "demo"\n'
MODEL = '[[models]]\nname = "m"\nroutes = [{ provider = "demo", model = "d" }]\n'
ENOUGH = DEMO + MODEL
TOKEN = '[[tokens]]\nname = "t"\nkey = "12345678"\n'
PLAIN = '[providers.p]\nkind = "openai"\nbase_url = "http://h/v1"\n'
HASH = "sha256:" + "ab" * 32


def parse(text: str, environ: Mapping[str, str] | None = None) -> schema.Config:
    return load.parse(text, "c.toml", environ or {})


def problems(text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, environ)
    found = list(caught.value.problems)
    assert all(problem.startswith("c.toml: ") for problem in found)
    assert len(set(found)) == len(found)
    return [problem.removeprefix("c.toml: ") for problem in found]


# The file that is shipped...


def uncommented(text: str) -> str:
    """Return the shipped file with every default and every example in force.

    What is prose and what is TOML is told apart by how it begins, as a reader would.
    """
    lines = []
    for line in text.splitlines():
        code = line.removeprefix("# ")
        is_code = re.match(r"(\[|[a-z_]+ = |\]| +\{ )", code)
        lines.append(code if line.startswith("# ") and is_code else line)
    return "\n".join(lines)


def test_the_shipped_file_is_valid_without_any_environment() -> None:
    config = load.load(SHIPPED, {})
    assert [model.name for model in config.models] == ["demo"]
    assert config.providers["demo"].kind == "demo"
    assert config.tokens == ()


def test_what_the_shipped_file_calls_default_is_the_default() -> None:
    text = SHIPPED.read_text()
    shipped, full = load.load(SHIPPED, {}), uncommented(text)
    tables = full[: full.index("# -----")]
    config = parse(tables + ENOUGH)
    # Limits that are absent do not limit; what stands there is an example.
    unlimited = msgspec.structs.replace(config.limits, rpm=None, tpm=None, max_concurrent=None)
    assert config.limits != unlimited == schema.LimitsConfig()
    # Absent, it follows from the machine's memory.
    overload = msgspec.structs.replace(config.overload, max_body_memory=None)
    assert config.overload != overload == schema.Config().overload == shipped.overload
    for key in SINGLE.keys() - {"limits", "overload"}:
        assert getattr(config, key) == getattr(schema.Config(), key) == getattr(shipped, key)
    # Nothing of these tables is left unsaid.
    raw = tomllib.loads(tables)
    for key, kind in SINGLE.items():
        # What may be left out altogether stands at the end, as an example.
        absent = {"admin": {"oidc"}, "server": {"tls"}}.get(key, set())
        assert raw[key].keys() == set(kind.__struct_fields__) - absent
    assert raw["retry"]["budget"].keys() == set(RetryBudgetPolicy.__struct_fields__)


def test_every_example_in_the_shipped_file_is_valid(tmp_path: Path) -> None:
    authority = tmp_path / "private-ca.pem"
    authority.touch()
    text = uncommented(SHIPPED.read_text()).replace("/etc/ssl/private-ca.pem", str(authority))
    # A pair needs a secret, which is not an example but a default.
    text = text.replace('aws_secret = ""', f'aws_secret = "{"0" * 32}"')
    keys = (
        *("OPENAI_API_KEY", "OPENROUTER_API_KEY", "OPENROUTER_API_KEY_2", "MY_APP_KEY"),
        *("ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GROQ_EU_API_KEY", "CO_API_KEY"),
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    )
    environ = {
        key: f"value-of-{key}"
        for key in (*keys, "GATEWAY_ADMIN_KEY", "GATEWAY_CLIENT_SECRET", "OIDC_CLIENT_SECRET")
    }
    config = parse(text, environ)
    providers = [
        "demo",
        "openai",
        "anthropic",
        "cohere",
        "bedrock",
        "gemini",
        "openrouter",
        "groq-eu",
        "company",
        "local",
    ]
    assert list(config.providers) == providers
    names = ["demo", "gpt-4o-mini", "llama", "openrouter/*", "fast", "or/*"]
    assert [model.name for model in config.models] == names
    assert config.providers["openai"].api_key == "value-of-OPENAI_API_KEY"
    assert len(config.providers["openrouter"].api_keys) == 2
    assert config.providers["company"].oauth == settings.ClientCredentials(
        token_url="https://login.example.com/token",
        client_id="gateway",
        client_secret="value-of-GATEWAY_CLIENT_SECRET",
        scope="llm",
    )
    assert config.providers["local"].probe == settings.Probe()
    assert config.providers["openai"].timeouts == TimeoutOverrides(first_event=120)
    assert config.models[1].routes[1].timeouts == TimeoutOverrides(first_event=30)
    assert config.models[1].hedge == HedgePolicy()
    assert config.models[1].cache == ModelCache(ttl=300, coalesce=True)
    assert config.models[4].alias == "gpt-4o-mini"
    (token,) = config.tokens
    assert (token.name, token.budget) == ("my-app", Budget(usd=20))
    assert token.expires_at == datetime(2027, 1, 1, tzinfo=UTC)
    assert [admin.name for admin in config.admins] == ["ops"]
    assert config.admin.oidc is not None
    assert config.admin.oidc.roles == {"gateway-admins": "admin", "staff": "viewer"}
    # And every key that there is stands in it.
    tables: tuple[type[msgspec.Struct], ...] = (
        *(
            settings.Provider,
            schema.Route,
            schema.Model,
            Token,
            schema.Admin,
            settings.Probe,
        ),
        *(Budget, HedgePolicy, ModelCache, OidcSettings),
    )
    for kind in tables:
        for name in kind.__struct_fields__:
            assert re.search(rf"\b{name} = ", text), name
    # Every strategy is at least named.
    for strategy in STRATEGIES:
        assert strategy in text


# Where the file comes from...


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    def message(path: Path) -> str:
        with pytest.raises(ConfigError) as caught:
            load.load(path, {})
        (problem,) = caught.value.problems
        return problem

    missing = tmp_path / "missing.toml"
    assert message(missing).startswith(
        f"{missing}: no such file; pass --config FILE or set GATEWAY_CONFIG"
    )
    assert "cannot be read: Is a directory" in message(tmp_path)
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'a = "\xe9"')
    assert "not UTF-8 (byte 5)" in message(latin)
    broken = tmp_path / "broken.toml"
    broken.write_text("[server\n")
    assert "not valid TOML: " in message(broken)
    assert "line 1" in message(broken)


def test_load_reads_the_environment_it_is_given(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(ENOUGH + '[[tokens]]\nname = "t"\nkey = "${KEY}"\n')
    assert load.load(path, {"KEY": "12345678"}).tokens[0].key == "12345678"


def test_tables_without_fault_or_reference_take_the_short_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A file may hold a hundred thousand tokens, and the long way takes ten times as long.
    def reader(environ: Mapping[str, str]) -> None:
        raise AssertionError("this table needs no walk")

    monkeypatch.setattr(load, "TableReader", reader)
    text = ENOUGH + TOKEN + "budget = { usd = 1 }\nexpires_at = 2027-01-01T00:00:00Z\n"
    assert len(parse(text).tokens) == 1
    with pytest.raises(AssertionError):
        parse(f'{ENOUGH}[[tokens]]\nname = "t"\nkey = "${{KEY}}"\n', {"KEY": "12345678"})


# The file of tokens...


def beside(folder: Path, tokens: str | bytes, config: str = ENOUGH) -> schema.Config:
    (folder / "c.toml").write_text(config)
    (folder / "tokens.toml").write_bytes(tokens if isinstance(tokens, bytes) else tokens.encode())
    return load.load(folder / "c.toml", {"KEY": "from-environ"})


def test_tokens_beside_the_file_are_read_with_it(tmp_path: Path) -> None:
    more = '[[tokens]]\nname = "u"\nkey = "${KEY}"\nmodels = ["m"]\n'
    config = beside(tmp_path, more, ENOUGH + TOKEN)
    assert [(token.name, token.key) for token in config.tokens] == [
        ("t", "12345678"),
        ("u", "from-environ"),
    ]
    for nothing in ("", "# none yet\n", "tokens = []\n"):
        assert [token.name for token in beside(tmp_path, nothing, ENOUGH + TOKEN).tokens] == ["t"]


def test_a_file_of_tokens_does_not_include_itself(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(ENOUGH + TOKEN)
    assert len(load.load(path, {}).tokens) == 1


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        # Each names the file that it is in.
        ("[[tokens]]\nname = 'u'\n", ["[[tokens]] 'u' key: missing; expected a string"]),
        (
            "[[tokens]]\nname = 'u'\nkey = 'short'\n",
            ["[[tokens]] 'u' key: must have at least 8 characters and no spaces"],
        ),
        (
            "[[tokens]]\nname = 't'\nkey = '87654321'\n",
            ["[[tokens]] 't' name: appears twice; give each token its own name"],
        ),
        (
            "[[tokens]]\nname = 'u'\nkey = '12345678'\n",
            ["[[tokens]] 'u' key: belongs to another token too; each needs its own"],
        ),
        (
            "[[tokens]]\nname = 'u'\nkey = 'of-admin'\nmodels = ['x']\n",
            [
                "[[tokens]] 'u' key: belongs to an admin too; each needs its own",
                "[[tokens]] 'u' models: there is no model 'x'; use \"*\" for all",
            ],
        ),
        (
            "x = 1\n[server]\nbind = 'nowhere'\n[[tokens]]\nname = 7\nkey = '87654321'\n",
            [
                "[x]: only [[tokens]] and [[admins]] may stand here",
                "[server]: only [[tokens]] and [[admins]] may stand here",
                "[[tokens]] #1 name: expected a string, got a whole number",
            ],
        ),
        ("[tokens]\n", ["[[tokens]]: expected an array of tables: write [[tokens]]"]),
        ("[[tokens]\n", ["not valid TOML: "]),
        (b"# \xff", ["not UTF-8 (byte 2); TOML files must be"]),
    ],
)
def test_what_is_wrong_with_a_file_of_tokens(
    tmp_path: Path, tokens: str | bytes, expected: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        beside(tmp_path, tokens, ENOUGH + TOKEN + '[[admins]]\nname = "a"\nkey = "of-admin"\n')
    assert len(caught.value.problems) == len(expected), caught.value.problems
    for problem, start in zip(caught.value.problems, expected, strict=True):
        assert problem.startswith(f"{tmp_path / 'tokens.toml'}: {start}")


@pytest.mark.parametrize("tokens", ["[[tokens]]\nname = 'u'\n", "[[tokens]\n"])
def test_the_faults_of_both_files_are_reported_at_once(tmp_path: Path, tokens: str) -> None:
    with pytest.raises(ConfigError) as caught:
        beside(tmp_path, tokens, ENOUGH + "[sevrer]\n")
    first, second = caught.value.problems
    assert first.startswith(f"{tmp_path / 'c.toml'}: [sevrer]: ")
    assert second.startswith(f"{tmp_path / 'tokens.toml'}: ")


# What is wrong in one table: where it is, and what would be right...


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        # Keys that are unknown...
        ("[servr]\n", "[servr]: unknown key; did you mean 'server'?"),
        (
            "x = 1\n",
            "[x]: unknown key; known keys: admin, admins, breaker, cache, catalog, cors, "
            "debug_log, limits, log, metrics, models, overload, providers, responses, retention, "
            "retry, server, state, store, teams, timeouts, tokens, tracing",
        ),
        (
            "[retry]\nbudget = { rate = 1 }\n",
            "[retry] budget.rate: unknown key; did you mean 'ratio'?",
        ),
        (
            "[[models]]\nname = 'x'\nhedge = { aftr = 1 }\n",
            "[[models]] 'x' hedge.aftr: unknown key; did you mean 'after'?",
        ),
        ("[server]\nbnd = 1\n", "[server] bnd: unknown key; did you mean 'bind'?"),
        (
            "[timeouts]\nzzz = 1\n",
            "[timeouts] zzz: unknown key; known keys: connect, first_event, ",
        ),
        (
            PLAIN + "timeouts = { idel = 3 }\n",
            "[providers.p] timeouts.idel: unknown key; did you mean 'idle'?",
        ),
        (
            '[[models]]\nname = "x"\nroutes = [{ provider = "demo", model = "a" }, '
            '{ provider = "demo", model = "a", timeouts = { idel = 3 } }]\n',
            "[[models]] 'x' routes[1].timeouts.idel: unknown key; did you mean 'idle'?",
        ),
        # ...missing...
        ("[providers.p]\n", f"[providers.p] kind: missing; expected {KNOWN_KINDS}"),
        ("[[models]]\nroutes = []\n", "[[models]] #2 name: missing; expected a string"),
        (
            '[[models]]\nname = "x"\nroutes = [{ provider = "demo" }]\n',
            "[[models]] 'x' routes[0].model: missing; expected a string",
        ),
        ('[[tokens]]\nname = "t"\n', "[[tokens]] 't' key: missing; expected a string"),
        ('[[admins]]\nname = "a"\n', "[[admins]] 'a' key: missing; expected a string"),
        (
            '[[admins]]\nname = "a"\nkey = "12345678"\nscopes = ["root"]\n',
            "[[admins]] 'a' scopes[0]: ",
        ),
        ("[admin]\nsession_hours = 0\n", "[admin] session_hours: "),
        (
            '[admin]\ntrusted_proxies = ["10.0.0.0/8", "proxy.local"]\n',
            "[admin] trusted_proxies: 'proxy.local' is no address such as 10.0.0.7",
        ),
        (TOKEN + "budget = {}\n", "[[tokens]] 't' budget.usd: missing; expected a number"),
        ("[[models]]\nname = 'x'\ncache = {}\n", "[[models]] 'x' cache.ttl: missing; expected a n"),
        # ...of the wrong type...
        (
            '[server]\nbody_timeout = "5"\n',
            "[server] body_timeout: expected a number, got a string",
        ),
        (
            "[server]\nbody_timeout = true\n",
            "[server] body_timeout: expected a number, got true or",
        ),
        ("[server]\nbind = 8080\n", "[server] bind: expected a string, got a whole number"),
        (
            "[server]\nmax_body_bytes = 1e6\n",
            "[server] max_body_bytes: expected a whole number, got a number",
        ),
        ("[server]\nbind = 1979-05-27\n", "[server] bind: expected a string, got a date"),
        ("[retry]\ncap = [8]\n", "[retry] cap: expected a number, got an array"),
        ("[log]\nrequests = 1\n", "[log] requests: expected true or false, got a whole number"),
        (PLAIN + "timeouts = 5\n", "[providers.p] timeouts: expected a table, got a whole number"),
        (PLAIN + "api_key = 5\n", "[providers.p] api_key: expected a string, got a whole number"),
        (
            PLAIN + "headers = { a = 1 }\n",
            "[providers.p] headers.a: expected a string, got a whole",
        ),
        (PLAIN + 'headers = "a"\n', "[providers.p] headers: expected a table, got a string"),
        ("[log]\nlevel = 3\n", '[log] level: expected "debug" or "info" or "warning" or "error"'),
        (
            '[[models]]\nname = "x"\nroutes = ["demo"]\n',
            "[[models]] 'x' routes[0]: expected a table, got a string",
        ),
        (
            '[[tokens]]\nname = "t"\nkey = "12345678"\nmodels = ["m", 7]\n',
            "[[tokens]] 't' models[1]: expected a string, got a whole number",
        ),
        (
            "[[models]]\nname = 'x'\nstrategy = 'fastest'\n",
            '[[models]] \'x\' strategy: expected "priority" or "weighted" or "round_robin" or ',
        ),
        (
            "[[models]]\nname = 'x'\nfallback_on = ['refusal']\n",
            '[[models]] \'x\' fallback_on[0]: expected "context_length" or "content_policy"',
        ),
        (
            "[[models]]\nname = 'x'\nhedge = { after = 'p99' }\n",
            "[[models]] 'x' hedge.after: expected \"p95\" or a number > 0",
        ),
        (
            "[[models]]\nname = 'x'\nhedge = { after = 0 }\n",
            "[[models]] 'x' hedge.after: expected \"p95\" or a number > 0",
        ),
        (
            "[[models]]\nname = 'x'\nhedge = { after = inf }\n",
            "[[models]] 'x' hedge.after: expected a finite number, got inf",
        ),
        (PLAIN + "probe = true\n", "[providers.p] probe: expected a table, got true or false"),
        (
            PLAIN + "probe = { path = 'models' }\n",
            "[providers.p] probe.path: expected a path such as /models",
        ),
        (TOKEN + "rpm = '60'\n", "[[tokens]] 't' rpm: expected a whole number, got a string"),
        *(
            (
                f"{TOKEN}expires_at = {moment}\n",
                "[[tokens]] 't' expires_at: expected a date and time with an offset, such as "
                "2027-01-01T00:00:00Z",
            )
            for moment in ("2027-01-01", "2027-01-01T00:00:00", "12:00:00", "7", '"tomorrow"')
        ),
        # ...out of range...
        (TOKEN + "rpm = 0\n", "[[tokens]] 't' rpm: expected a whole number >= 1"),
        (TOKEN + "budget = { usd = 0 }\n", "[[tokens]] 't' budget.usd: expected a number > 0.0"),
        ("[cache]\nmax_bytes = -1\n", "[cache] max_bytes: expected a whole number >= 0"),
        ("[limits]\nmax_queue = -1\n", "[limits] max_queue: expected a whole number >= 0"),
        ("[retry.budget]\nratio = 2\n", "[retry] budget.ratio: expected a number <= 1.0"),
        ("[timeouts]\nidle = -1\n", "[timeouts] idle: expected a number >= 0.0"),
        ("[timeouts]\nidle = nan\n", "[timeouts] idle: expected a number >= 0.0"),
        ("[timeouts]\nidle = inf\n", "[timeouts] idle: expected a finite number, got inf"),
        ("[timeouts]\nidle = -inf\n", "[timeouts] idle: expected a number >= 0.0"),
        ("[server]\nbody_timeout = 0\n", "[server] body_timeout: expected a number > 0.0"),
        ("[server]\nbody_timeout = nan\n", "[server] body_timeout: expected a "),
        ("[retry]\nmax_attempts = 0\n", "[retry] max_attempts: expected a whole number >= 1"),
        ("[retry]\nmax_attempts = 21\n", "[retry] max_attempts: expected a whole number <= 20"),
        ("[server]\nmax_body_bytes = 10\n", "[server] max_body_bytes: expected a whole number >= "),
        (PLAIN + "max_connections = 0\n", "[providers.p] max_connections: expected a whole number"),
        (
            '[[models]]\nname = "x"\nroutes = [{ provider = "demo", model = "a", '
            "input_price = -1 }]\n",
            "[[models]] 'x' routes[0].input_price: expected a number >= 0.0",
        ),
        (
            '[[models]]\nname = "x"\nroutes = [{ provider = "demo", model = "a", '
            "output_price = inf }]\n",
            "[[models]] 'x' routes[0].output_price: expected a finite number, got inf",
        ),
        ('[[models]]\nname = ""\n', "[[models]] '' name: expected a string of length >= 1"),
        # ...or of the wrong shape.
        ('server = "x"\n', "[server]: expected a table, got a string"),
        ("[[log]]\n", "[log]: expected a table, got an array"),
        ('providers = "x"\n', "[providers]: expected tables such as [providers.main]"),
        ("providers.p = 7\n", "[providers.p]: expected a table, got a whole number"),
        ('tokens = ["x"]\n', "[[tokens]] #1: expected a table, got a string"),
        ('[tokens]\nname = "x"\n', "[[tokens]]: expected an array of tables: write [[tokens]]"),
        (
            '[server]\nrequest_id_header = "x id"\n',
            "[server] request_id_header: expected a string matching regex",
        ),
        (
            '[server]\nrequest_id_header = "x-id\\n"\n',
            "[server] request_id_header: expected a string matching regex",
        ),
        ('[providers.p]\nkind = "opneai"\n', f"[providers.p] kind: expected {KNOWN_KINDS}"),
    ],
)
def test_one_fault(text: str, problem: str) -> None:
    rest = ENOUGH.replace(DEMO, "") if text.startswith("providers =") else ENOUGH
    # Keys without a table come before any.
    text = rest + text if text.startswith("[[") else text + rest
    found = problems(text)
    assert found[0].startswith(problem), found
    if not text.startswith("providers ="):
        assert len(found) == 1, found


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (
            "${IDLE}",
            "the environment variable IDLE is not set; export IDLE=... or give a default: ",
        ),
        ("${EMPTY}", "the environment variable EMPTY is not set"),
        ("${NAN}", "expected a number >= 0.0"),
        ("${INF}", "expected a finite number, got inf"),
        ("${WORD}", "expected a number, got a string"),
        ("${IDLE:-many}", "expected a number, got a string"),
        ("${IDLE", "a ${ does not begin a reference; write ${NAME} or ${NAME:-default}"),
        ("${1}", "a ${ does not begin a reference"),
    ],
)
def test_faults_of_the_environment(value: str, problem: str) -> None:
    environ = {"EMPTY": "", "NAN": "nan", "INF": "inf", "WORD": "many"}
    route = f'{{ provider = "demo", model = "a", timeouts = {{ idle = "{value}" }} }}'
    text = f'{DEMO}[[models]]\nname = "m"\nroutes = [{route}]\n'
    (found,) = problems(text, environ)
    assert found.startswith(f"[[models]] 'm' routes[0].timeouts.idle: {problem}"), found


def test_the_environment_supplies_numbers_and_switches() -> None:
    text = f'{ENOUGH}[server]\nbody_timeout = "${{T}}"\n[log]\nrequests = "${{R:-false}}"\n'
    config = parse(text, {"T": "2.5"})
    assert config.server.body_timeout == 2.5
    assert config.log.requests is False


def test_the_environment_supplies_whatever_a_string_can_stand_for() -> None:
    text = f"""{ENOUGH}
retry = {{ max_attempts = "${{ATTEMPTS}}" }}
hedge = {{ after = "${{AFTER:-0.5}}" }}
{TOKEN}expires_at = "${{UNTIL}}"
budget = {{ usd = "${{USD}}", window = "${{WINDOW}}" }}
"""
    environ = {"ATTEMPTS": "5", "UNTIL": "2027-01-01T00:00:00+02:00", "USD": "1", "WINDOW": "day"}
    config = parse(text, environ)
    assert config.models[0].retry == RetryOverrides(max_attempts=5)
    assert config.models[0].hedge == HedgePolicy(after=0.5)
    assert config.tokens[0].budget == Budget(usd=1, window="day")
    assert config.tokens[0].expires_at == datetime(2026, 12, 31, 22, tzinfo=UTC)
    changed = parse(text, environ | {"AFTER": "p95"})
    assert changed.models[0].hedge == HedgePolicy(after="p95")


def test_a_quoted_number_stays_a_mistake_beside_a_reference() -> None:
    text = f'{ENOUGH}{PLAIN}api_key = "${{KEY:-abc}}"\nmax_connections = "5"\n'
    assert problems(text) == [
        "[providers.p] max_connections: expected a whole number, got a string"
    ]


def test_all_faults_are_reported_at_once() -> None:
    text = f"""
[sevrer]
[server]
bind = "nowhere"
[timeouts]
idle = -1
conect = 3
total = "long"
[providers.a]
kind = "openai"
api_key = "${{A}}"
headers = {{ x = "${{B}}", y = "${{C}}", z = "fine" }}
[providers.b]
kind = "openai"
[[models]]
name = "m"
routes = [{{ provider = "a" }}, {{ provider = "c", model = 7 }}]
[[models]]
name = "n"
routes = [{{ provider = "a", model = "x" }}, {{ provider = "c", model = "y" }}]
[[models]]
name = "o"
alias = "p"
[[models]]
name = "q"
alias = "m"
[[tokens]]
name = "t"
key = "short"
models = ["m", "z"]
[[tokens]]
key = "{HASH}"
"""
    found = problems(text)
    expected = [
        "[sevrer]: ",
        "[timeouts] idle: ",
        "[timeouts] conect: ",
        "[timeouts] total: ",
        "[providers.a] api_key: the environment variable A ",
        "[providers.a] headers.x: the environment variable B ",
        "[providers.a] headers.y: the environment variable C ",
        "[[models]] 'm' routes[0].model: missing",
        "[[models]] 'm' routes[1].model: expected a string",
        "[[tokens]] #2 name: missing",
        "[server] bind: ",
        "[providers.b] base_url: missing",
        # Not that of provider a, which exists, nor m, which does too.
        "[[models]] 'n' routes[1].provider: there is no [providers.c]",
        "[[models]] 'o' alias: there is no model 'p'",
        "[[tokens]] 't' key: ",
        "[[tokens]] 't' models: there is no model 'z'",
    ]
    assert len(found) == len(expected), found
    for problem, start in zip(found, expected, strict=True):
        assert problem.startswith(start)


SECRET = "s3cr3t-value"


@pytest.mark.parametrize(
    "text",
    [
        f'[[tokens]]\nname = "t"\nkey = "{SECRET} with spaces"\n',
        f'[[tokens]]\nname = "t"\nkey = "{SECRET}\\n"\n',
        f'[[tokens]]\nname = "t"\nkey = "sha256:{SECRET}"\n',
        f'[[tokens]]\nname = "t"\nkey = ["{SECRET}"]\n',
        f'[[tokens]]\nname = "t"\nkey = "12345678"\nexpires_at = "{SECRET}"\n',
        f'[[admins]]\nname = "a"\nkey = "{SECRET}"\n[[admins]]\nname = "b"\nkey = "{SECRET}"\n',
        f'[[admins]]\nname = "a"\nkey = "{SECRET} "\n',
        f'{PLAIN}api_keys = ["{SECRET}", "{SECRET}"]\n',
        f'{PLAIN}api_keys = ["{SECRET}\\n"]\n',
        f'{PLAIN}api_keys = "{SECRET}"\n',
        f'{PLAIN}api_key = "{SECRET}"\napi_keys = ["{SECRET}"]\n',
        f'[[models]]\nname = "x"\nhedge = {{ after = "{SECRET}" }}\n',
        f'{PLAIN}probe = "{SECRET}"\n',
        f'{PLAIN}probe = {{ path = "{SECRET}" }}\n',
        f'[[tokens]]\nname = "a"\nkey = "{SECRET}"\n[[tokens]]\nname = "b"\nkey = "{SECRET}"\n',
        f'{PLAIN}api_key = "{SECRET}\\n"\n',
        f'{PLAIN}api_key = ["{SECRET}"]\n',
        f'{PLAIN}api_key = "${{{SECRET}}}"\n',
        f'{PLAIN}api_key = "${{KEY:-{SECRET}"\n',
        f'{PLAIN}headers = {{ x-key = "{SECRET}\\r\\n" }}\n',
        f'{PLAIN}headers = {{ x-key = ["{SECRET}"] }}\n',
        f'{PLAIN}api_key = "${{S}}\\n"\n',
        f'{PLAIN}max_connections = "${{S}}"\n',
        f'{PLAIN}timeouts = "${{S}}"\n',
        '[providers.p]\nkind = "${S}"\n',
        f'[providers.p]\nkind = "openai"\nbase_url = "https://u:{SECRET}@h/v1"\n',
        f'[providers.p]\nkind = "openai"\nbase_url = "https://u:{SECRET}@h:99999/v1"\n',
        f'[providers.p]\nkind = "openai"\nbase_url = "htps://u:{SECRET}@h/v1"\n',
        f'[providers.p]\nkind = "openai"\nbase_url = "https://h/v1?key={SECRET}"\n',
    ],
)
def test_no_secret_is_ever_in_a_message(text: str) -> None:
    for problem in problems(ENOUGH + text, {"S": SECRET}):
        assert SECRET not in problem


def test_the_store_is_found_whatever_else_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[log]\nlevel = 1\n[store]\nurl = "${STORE_URL}"\n')
    assert load.store(path, {"STORE_URL": "sqlite:///x.db"}).url == "sqlite:///x.db"
    with pytest.raises(ConfigError, match="STORE_URL is not set"):
        load.store(path, {})
    with pytest.raises(ConfigError, match="no such file"):
        load.store(tmp_path / "nowhere.toml", {})
    path.write_text("")
    assert load.store(path, {}) == schema.Store()


def test_any_table_is_found_alone(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        '[providers.p]\nkind = "openai"\napi_key = "${NOT_SET}"\n'
        '[retention]\ndebug_max_bytes = 7\n[debug_log]\nfolder = "${FOLDER}"\nnothing = 1\n'
    )
    assert load.table(path, schema.Retention, {}).debug_max_bytes == 7
    assert load.table(path, Server, {}) == Server()
    with pytest.raises(ConfigError) as raised:
        load.table(path, schema.DebugLog, {})
    assert [problem.partition(": ")[0] for problem in raised.value.problems] == [str(path)] * 2
    assert "[debug_log] nothing" in str(raised.value)
    assert "FOLDER is not set" in str(raised.value)
