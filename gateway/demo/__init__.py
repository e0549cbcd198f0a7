"""The provider that the gateway starts itself, so that it answers before it has a key.

    server   a small server on loopback that speaks OpenAI's chat completions

It is a provider like others: nothing else in the gateway knows of it but `providers/kinds/demo`,
which starts it.
"""
