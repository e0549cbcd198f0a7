"""Members of a request by which providers let a caller choose models, routes and destinations.

A kind of provider is any server that speaks its API, other gateways among them, so the lists of
those stand in every kind.
"""

from __future__ import annotations

from typing import Final

from ..core.wire.overrides import Overrides

# Those of OpenRouter are in its guides on routing; LiteLLM refuses some of its own to its callers
# (proxy/auth/auth_utils.py) and acts on more; then Bifrost's and those of Vercel's AI Gateway.
_OF_GATEWAYS: Final = (
    *("models", "model_list", "model_group", "model_id", "model_info", "base_model", "engine"),
    *("fallback", "fallbacks", "fallback_model", "fallback_models", "default_fallbacks"),
    *("context_window_fallbacks", "context_window_fallback_dict", "content_policy_fallbacks"),
    *("route", "router", "router_settings_override", "specific_deployment", "preset", "tags"),
    *("provider", "providers", "provider_options", "custom_llm_provider", "user_config"),
    *("deployment", "deployment_id", "deployment_name", "deployment_url", "gateway"),
    *("api_base", "base_url", "api_url", "endpoint", "endpoint_url", "proxy", "proxies"),
    *("region_name", "api_key", "api_type", "api_version", "organization"),
    *("headers", "extra_headers", "extra_query", "extra_body", "allowed_model_region"),
    *("model_name", "model_alias", "model_group_alias", "model_selection", "hf_model_name"),
    *("engine_id", "routing", "disable_fallbacks", "use_litellm_proxy", "ssl_verify", "host"),
    *("proxy_server_request", "secret_fields", "configurable_clientside_auth_params"),
    *("model_file_id_mapping", "model_id_mapping"),
    # Prompts that are kept there, which name a model of their own.
    "prompt_id",
    # Portkey's, of a configuration that it also takes in a header.
    *("targets", "virtual_key", "custom_host", "override_params"),
    # How often a call is made, and who is told of it.
    *("num_retries", "max_retries"),
    *("callbacks", "success_callback", "failure_callback", "service_callback"),
    *("callback_url", "webhook", "webhook_url", "webhook_events_filter", "notify_url"),
)
_BEGINNINGS_OF_GATEWAYS: Final = (
    *("aws_", "azure_", "vertex_", "sagemaker_", "watsonx_", "litellm_", "user_api_key"),
    # What LiteLLM answers by itself, and what it is to believe that an answer costs.
    *("mock_", "input_cost_per_", "output_cost_per_"),
    # Where it sends its records, prompts among them (`StandardCallbackDynamicParams`).
    *("langfuse_", "langsmith_", "gcs_", "s3_", "arize_", "phoenix_", "humanloop_", "lunary_"),
    *("posthog_", "braintrust_", "slack_", "datadog_", "opik_", "weave_", "helicone_", "portkey_"),
)
# vLLM and SGLang (adapters, and the hosts that disaggregated servers fetch from), llama.cpp, Text
# Generation Inference, LM Studio, Mistral's agents, Azure's "on your data".
_OF_SERVERS: Final = (
    *("lora", "lora_path", "lora_request", "lora_name", "lora_adapter", "lora_adapters"),
    *("adapter", "adapter_id", "adapter_name", "adapter_source", "draft_model", "agent_id"),
    *("data_parallel_rank", "data_parallel_rank_decode", "routed_dp_rank"),
    *("kv_transfer_params", "bootstrap_host", "bootstrap_port", "bootstrap_room"),
    *("data_sources",),
)
# OpenRouter's plugins: the auto router's choice, and models that are asked beside the first.
_INSIDE: Final = {
    "plugins": ("model", "models", "allowed_models", "analysis_models", "providers"),
    # LiteLLM routes by a list of tags, and looks for its own members there as well. Texts of the
    # same name are a caller's own.
    "metadata": ("tags[]", "api_base", "base_url", "user_config", "fallbacks[]", "models[]"),
    # What vLLM hands on to its engine, and Dynamo to its router.
    "vllm_xargs": ("kv_transfer_params", "bootstrap_host", "lora_path"),
    "nvext": ("backend_instance_id", "prefill_worker_id", "decode_worker_id"),
    # Groq's compound systems.
    "compound_custom": ("models",),
}
# Tools that providers run with a model of their own: Anthropic's advisor, OpenAI's image
# generation, OpenRouter's advisor, subagent and fusion.
_MODELS: Final = {"tools": ("model", "models", "analysis_models", "judge_model")}

EVERYWHERE: Final = Overrides(
    (*_OF_GATEWAYS, *_OF_SERVERS), _BEGINNINGS_OF_GATEWAYS, _INSIDE, _MODELS
)
# Prompts that are kept there and guardrails are the account's.
BEDROCK: Final = Overrides(
    (*_OF_GATEWAYS, *_OF_SERVERS, "promptVariables", "projectIdentifier", "guardrailConfig"),
    _BEGINNINGS_OF_GATEWAYS,
    _INSIDE,
    _MODELS,
)
# Vertex routes by these (google-genai, `types.py`, GenerationConfig), and runs what its tools point
# to; a cached prompt is one of the account's.
GEMINI: Final = Overrides(
    (*_OF_GATEWAYS, *_OF_SERVERS, "cachedContent"),
    _BEGINNINGS_OF_GATEWAYS,
    _INSIDE | {"generationConfig": ("routingConfig", "modelSelectionConfig", "modelConfig")},
    _MODELS,
)
