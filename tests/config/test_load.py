from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.config import load, schema
from gateway.core.routing.attempts import RetryPolicy
from gateway.core.timeouts import TimeoutOverrides, Timeouts
from gateway.errors import ConfigError

SHIPPED = Path(__file__).parents[2] / "config.toml"
DEMO = '[providers.demo]\nkind = "demo"\n'
MODEL = '[[models]]\nname = "m"\nroutes = [{ provider = "demo", model = "d" }]\n'
ENOUGH = DEMO + MODEL
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
    assert (config.server, config.timeouts) == (schema.Server(), Timeouts())
    assert (config.retry, config.log) == (RetryPolicy(), schema.Log())
    assert shipped.server == config.server
    # Nothing of these tables is left unsaid.
    for kind in (schema.Server, Timeouts, RetryPolicy, schema.Log):
        for name in kind.__struct_fields__:
            assert re.search(rf"^{name} = ", tables, re.MULTILINE), name


def test_every_example_in_the_shipped_file_is_valid(tmp_path: Path) -> None:
    authority = tmp_path / "private-ca.pem"
    authority.touch()
    text = uncommented(SHIPPED.read_text()).replace("/etc/ssl/private-ca.pem", str(authority))
    environ = {"OPENAI_API_KEY": "sk-1", "OPENROUTER_API_KEY": "sk-2", "MY_APP_KEY": "my-app-key"}
    config = parse(text, environ)
    assert list(config.providers) == ["demo", "openai", "openrouter", "local"]
    assert [model.name for model in config.models] == ["demo", "gpt-4o-mini", "fast"]
    assert config.providers["openai"].api_key == "sk-1"
    assert config.providers["openai"].timeouts == TimeoutOverrides(first_event=120)
    assert config.models[1].routes[1].timeouts == TimeoutOverrides(first_event=30)
    assert config.models[2].alias == "gpt-4o-mini"
    assert [token.name for token in config.tokens] == ["my-app"]
    # And every key that there is stands in it.
    for kind in (schema.Provider, schema.Route, schema.Model, schema.Token):
        for name in set(kind.__struct_fields__) - {"weight"}:
            assert re.search(rf"\b{name} = ", text), name


# Where the file comes from...


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    def message(path: Path) -> str:
        with pytest.raises(ConfigError) as caught:
            load.load(path, {})
        (problem,) = caught.value.problems
        return problem

    missing = tmp_path / "missing.toml"
    assert message(missing) == f"{missing}: no such file; pass --config FILE or set GATEWAY_CONFIG"
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


def test_with_bind() -> None:
    config = parse(ENOUGH)
    assert load.with_bind(config, "[::1]:9").server.bind == "[::1]:9"
    with pytest.raises(ConfigError) as caught:
        load.with_bind(config, "nowhere")
    assert caught.value.problems[0].startswith("--bind: [server] bind: 'nowhere' is not HOST:PORT")


# What is wrong in one table: where it is, and what would be right...

PLAIN = '[providers.p]\nkind = "openai"\nbase_url = "http://h/v1"\n'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        # Keys that are unknown...
        ("[servr]\n", "[servr]: unknown key; did you mean 'server'?"),
        ("x = 1\n", "[x]: unknown key; known keys: cors, log, models, providers, retry, server, "),
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
        ("[providers.p]\n", '[providers.p] kind: missing; expected "openai" or "demo"'),
        ("[[models]]\nroutes = []\n", "[[models]] #2 name: missing; expected a string"),
        (
            '[[models]]\nname = "x"\nroutes = [{ provider = "demo" }]\n',
            "[[models]] 'x' routes[0].model: missing; expected a string",
        ),
        ('[[tokens]]\nname = "t"\n', "[[tokens]] 't' key: missing; expected a string"),
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
        # ...out of range...
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
        ('providers = "x"\n', "[providers]: expected tables such as [providers.openai]"),
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
        ('[providers.p]\nkind = "opneai"\n', '[providers.p] kind: expected "openai" or "demo"'),
    ],
)
def test_one_fault(text: str, problem: str) -> None:
    rest = ENOUGH.replace(DEMO, "") if text.startswith("providers =") else ENOUGH
    # Keys without a table come before any.
    text = text + rest if not text.startswith(("[[models]]", "[[tokens]]")) else rest + text
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
