"""The provider that the gateway starts itself, so that it answers before it has a key.

    server     a small server on loopback that speaks the APIs of OpenAI, Anthropic and Google
    reply      what a request is answered with, whole or as a stream
    chat       chat completions and legacy ones
    responses  OpenAI's Responses; nothing is kept
    messages   Anthropic's Messages
    gemini     Google's Gemini
    tools      which tool is asked for
    numbers    embeddings and moderations

It is a provider like others: nothing else in the gateway knows of it but `providers/kinds/demo`,
which starts it.
"""
