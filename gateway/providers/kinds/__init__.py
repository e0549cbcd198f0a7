"""The kinds of providers, a module each.

A module here has a constant `KIND`, an object of `kind.ProviderKind`; the registry imports every
module of this folder and lists its kind under the kind's name. So a new kind is one new module.

    openai     servers that speak OpenAI's chat completions: OpenAI itself, vLLM, OpenRouter, ...
    anthropic  servers that speak Anthropic's Messages: Anthropic itself, DeepSeek, Moonshot, ...
    demo       the provider that the gateway starts itself, on loopback
"""
