"""Whole files of LiteLLM's, of the shapes that public ones have."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.imports.conversion import convert
from gateway.config import load, schema
from gateway.config.environment import StandIns
from gateway.errors import ConfigError

ENVIRON = {"LAB_URL": "http://lab:1234/v1"}


def converted(folder: Path, text: str) -> tuple[schema.Config, list[str]]:
    file = folder / "config.yaml"
    file.write_text(text)
    made, lines = convert(file)
    assert all(f"#   {line}" in made for line in lines)
    return load.parse(made, "c.toml", StandIns(ENVIRON), on_disk=False), lines


def models(config: schema.Config) -> dict[str, schema.Model]:
    return {model.name: model for model in config.models}


def test_vendors_by_their_own_apis(tmp_path: Path) -> None:
    config, _ = converted(
        tmp_path,
        """
model_list:
  - {model_name: a, litellm_params: {model: gemini/gemini-2.5-flash}}
  - {model_name: b, litellm_params: {model: gemini-3-pro}}
  - model_name: c
    litellm_params: {model: gemini/x, api_key: k, api_base: "https://proxy/v1beta/openai/"}
  - {model_name: d, litellm_params: {model: cohere/command-a, api_base: "https://api.cohere.ai/v2"}}
  - {model_name: e, litellm_params: {model: cohere_chat/command-a}}
""",
    )
    routes = {name: model.routes[0] for name, model in models(config).items()}
    found = {
        name: (config.providers[route.provider].kind, config.providers[route.provider].base_url)
        for name, route in routes.items()
    }
    google = ("gemini", "https://generativelanguage.googleapis.com")
    assert (found["a"], found["b"]) == (google, google)
    assert routes["b"].model == "gemini-3-pro"
    assert found["c"] == ("gemini", "https://proxy")
    assert found["d"] == ("cohere", "https://api.cohere.ai")
    assert found["e"] == ("cohere", "https://api.cohere.com")


def test_models_keys_and_groups(tmp_path: Path) -> None:
    config, lines = converted(
        tmp_path,
        """
model_list:
  - model_name: small
    litellm_params: {model: openai/gpt-4o-mini, api_key: os.environ/OPENAI_API_KEY, weight: 3}
  - model_name: small
    litellm_params: {model: groq/llama-3.1-8b, api_key: "os.environ/GROQ_API_KEY"}
  - model_name: bare
    litellm_params: {model: gpt-4o}
  - model_name: claude
    litellm_params:
      model: anthropic/claude-x
      input_cost_per_token: 0.000003
      output_cost_per_token: 1.5e-5
      stream_timeout: 20
  - model_name: lab
    litellm_params: {model: openai/qwen, api_base: os.environ/LAB_URL, api_key: lm-studio}
  - model_name: local
    litellm_params: {model: "ollama/qwen3:14b", api_base: "http://box:11434/"}
  - model_name: cloud
    litellm_params:
      model: azure/my-deployment
      api_base: https://openai-mine.openai.azure.com/
      api_version: "2023-05-15"
      api_key: os.environ/AZURE_API_KEY
  - model_name: routed
    litellm_params:
      model: openai/vendor/model:free
      api_base: https://openrouter.ai/api/v1
      api_key: ${OPENROUTER_API_KEY}
      extra_headers: {X-Title: Mine}
  - model_name: "openai/*"
    litellm_params: {model: "openai/*", api_key: os.environ/OPENAI_API_KEY,
                     organization: os.environ/ORG}
general_settings: {master_key: os.environ/LITELLM_MASTER_KEY}
""",
    )
    found = models(config)
    assert [(r.provider, r.model, r.weight) for r in found["small"].routes] == [
        ("openai", "gpt-4o-mini", 3),
        ("groq", "llama-3.1-8b", 1),
    ]
    assert found["small"].strategy == "weighted"
    assert found["bare"].routes[0].provider == "openai"
    (claude,) = found["claude"].routes
    assert (claude.input_price, claude.output_price) == (3.0, 15.0)
    assert claude.timeouts.first_event == 20
    assert found["openai/*"].routes[0].model == "*"
    urls = {name: each.base_url for name, each in config.providers.items()}
    assert urls[found["lab"].routes[0].provider] == ENVIRON["LAB_URL"]
    assert urls[found["local"].routes[0].provider] == "http://box:11434/v1"
    cloud = found["cloud"].routes[0].provider
    assert urls[cloud] == "https://openai-mine.openai.azure.com/openai/v1"
    assert config.providers[found["lab"].routes[0].provider].api_key is None
    routed = config.providers[found["routed"].routes[0].provider]
    assert routed.api_key == "unset:OPENROUTER_API_KEY"
    assert routed.headers == {"X-Title": "Mine"}
    family = config.providers[found["openai/*"].routes[0].provider]
    assert family.headers == {"openai-organization": "unset:ORG"}
    assert [token.key for token in config.tokens] == ["unset:LITELLM_MASTER_KEY"]
    assert len(lines) == 1


def test_fallbacks_aliases_router_and_budget(tmp_path: Path) -> None:
    config, _ = converted(
        tmp_path,
        """
model_list:
  - {model_name: a, litellm_params: {model: openai/a, order: 2}}
  - {model_name: a, litellm_params: {model: openai/b, order: 1}}
  - {model_name: b, litellm_params: {model: openai/b}}
  - {model_name: b, litellm_params: {model: openai/c}}
  - {model_name: big, litellm_params: {model: openai/big}}
router_settings:
  routing_strategy: latency-based-routing
  fallbacks: [{a: [b, big, gone, a]}]
  model_group_alias: {other: a, hidden: {model: b, hidden: true}}
  num_retries: 2
  allowed_fails: 2
  cooldown_time: 300
litellm_settings:
  context_window_fallbacks: [{a: [big]}]
  content_policy_fallbacks: {b: [a]}
  default_fallbacks: [a]
  drop_params: true
  request_timeout: 120
  cache: true
  cache_params: {type: local, ttl: 1800}
general_settings: {master_key: "os.environ/MASTER", max_budget: 2.0, budget_duration: 1d}
""",
    )
    found = models(config)
    assert [route.model for route in found["a"].routes] == ["b", "a"]
    assert (found["a"].strategy, found["b"].strategy) == ("priority", "lowest_latency")
    assert (found["a"].fallbacks, found["a"].fallback_on) == (("b", "big"), ("context_length",))
    assert (found["b"].fallbacks, found["b"].fallback_on) == (("a",), ("content_policy",))
    assert found["big"].fallbacks == ("a",)
    assert (found["other"].alias, found["hidden"].alias) == ("a", "b")
    assert config.retry.max_attempts == 3
    assert config.breaker.consecutive_failures == 3
    assert config.breaker.open_time == config.breaker.max_open_time == 300
    assert config.timeouts.total == 120
    assert config.translation.unsupported == "drop"
    assert found["a"].cache is not None
    assert found["a"].cache.ttl == 1800
    (token,) = config.tokens
    assert token.budget is not None
    assert (token.budget.usd, token.budget.window) == (2.0, "day")


def test_what_has_no_counterpart_is_listed(tmp_path: Path) -> None:
    _, lines = converted(
        tmp_path,
        """
model_list:
  - {model_name: m, litellm_params: {model: openai/m, rpm: 10, temperature: 0.2}}
  - {model_name: n, litellm_params: {model: openai/n, rpm: 10}}
  - {model_name: s, litellm_params: {model: sagemaker/x}}
  - {model_name: i, litellm_params: {model: openai/i}, model_info: {mode: image_generation}}
  - {model_name: v, litellm_params: {model: hosted_vllm/x}}
  - {model_name: w, litellm_params: {model: somebody/x, api_base: "http://h/v1"}}
  - {model_name: "x/*/y", litellm_params: {model: "openai/*"}}
  - {model_name: broken}
router_settings: {routing_strategy: usage-based-routing-v2, redis_host: os.environ/R}
litellm_settings: {callbacks: [langfuse], set_verbose: true, unused: false}
files_settings: [{custom_llm_provider: openai}]
environment_variables: {A: b}
""",
    )
    said = "\n".join(lines)
    for part in (
        "rpm of a deployment: limits are a provider's or a token's here (m, n)",
        "litellm_params.temperature: has no counterpart",
        "sagemaker: there is no such provider here, so its routes are left out (s)",
        "mode image_generation: is not served here, so its routes are left out (i)",
        "hosted_vllm: no api_base, so its routes are left out (v)",
        "taken for a server with the usual API: check its base_url (w)",
        "a * that is not at the end of name and model: left out (x/*/y)",
        "an entry of model_list without model_name or litellm_params",
        "routing_strategy usage-based-routing-v2: the nearest here is least_busy",
        "router_settings.redis_host: has no counterpart",
        "litellm_settings.callbacks: has no counterpart",
        "files_settings: has no counterpart",
        "environment_variables: set them in the environment (A)",
        "there is no master_key, so the gateway is open",
    ):
        assert part in said
    assert "set_verbose" not in said
    assert "unused" not in said


def test_a_key_that_stands_in_the_file_is_never_copied(tmp_path: Path) -> None:
    """Nor does the key of one server go to another."""
    file = tmp_path / "config.yaml"
    file.write_text(
        """
model_list:
  - {model_name: a, litellm_params: {model: openai/a, api_key: sk-secret-1}}
  - {model_name: b, litellm_params: {model: openai/b, api_key: sk-secret-2}}
  - {model_name: c, litellm_params: {model: openai/c, api_key: sk-secret-1}}
  - {model_name: d, litellm_params: {model: openai/d, api_key: sk-secret-3,
                                     api_base: "https://llm.example.com/v1"}}
  - {model_name: e, litellm_params: {model: openai/e, api_base: "https://other.example.com/v1"}}
general_settings: {master_key: sk-1234}
"""
    )
    text, lines = convert(file)
    assert "secret" not in text + "\n".join(lines)
    assert "sk-1234" not in text + "\n".join(lines)
    environ = {
        "OPENAI_API_KEY": "1", "OPENAI_API_KEY_2": "2", "LLM_EXAMPLE_COM_API_KEY": "3",
        "LITELLM_MASTER_KEY": "12345678",
    }  # fmt: skip
    config = load.parse(text, "c.toml", environ)
    found = models(config)
    keys = {
        name: config.providers[model.routes[0].provider].api_key for name, model in found.items()
    }
    assert keys == {"a": "1", "b": "2", "c": "1", "d": "3", "e": None}


def test_files_that_are_included(tmp_path: Path) -> None:
    (tmp_path / "models.yaml").write_text(
        "model_list: [{model_name: b, litellm_params: {model: openai/b}}]\ninclude: [config.yaml]\n"
    )
    with pytest.raises(ConfigError, match="includes more than"):
        converted(tmp_path, "include: [models.yaml]\n")
    (tmp_path / "models.yaml").write_text(
        "model_list: [{model_name: b, litellm_params: {model: openai/b}}]\n"
    )
    config, _ = converted(
        tmp_path,
        "include: [models.yaml]\n"
        "model_list: [{model_name: a, litellm_params: {model: openai/a}}]\n",
    )
    assert [*models(config)] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no tables"),
        ("[1]", "holds no tables"),
        ("a: [", "not valid YAML"),
        ("\x00", "not valid YAML"),
        ("model_list: []", "has no model that could be served here"),
        ("model_list: 7", "has no model that could be served here"),
        ("model_list: [7, null]", "has no model that could be served here"),
        ("include: [gone.yaml]", "cannot be read"),
    ],
)
def test_files_that_cannot_be_converted(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        converted(tmp_path, text)


def test_odd_names_are_written_as_toml(tmp_path: Path) -> None:
    config, _ = converted(
        tmp_path,
        'model_list: [{model_name: "a\\"b\\n\\x7f ${X} é", litellm_params: {model: openai/m}}]\n',
    )
    assert [*models(config)] == ['a"b\n\x7f ${X} é']
