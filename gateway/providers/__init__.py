"""What a call to each kind of provider looks like. A module describes it, never makes it.

    settings           the keys of a table [providers.NAME] that every kind has
    kind               what a kind of provider is
    kinds/             one module for each kind; what is in this folder is found by the registry
    registry           the kinds by their names in the configuration
    http_kind          the base of all kinds that are called with JSON and a key in a header
    openai_compatible  the base of those that speak OpenAI's chat completions
    failures           how each kind says no: statuses and words, and what they mean
    words/             the codes and words of refusals, by what they mean
    refusal_body       the bodies of refusals, taken apart
    oauth              access tokens by OAuth's client credentials, asked for and read
    tokens/            those of clouds: managed identities, accounts of Google

`docs/adding-a-provider.md` adds a kind step by step. Read `settings` and `kind`, then
`http_kind` and a module of `kinds/`.
"""
