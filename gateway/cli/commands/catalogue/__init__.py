"""What is known of providers and models without asking for an answer.

providers  `gateway providers`: the presets
prices     `gateway prices`: what models cost by the data, and newer data
repricing  `gateway prices reprice`: costs of a time computed again
models     `gateway models`: what a provider has, as routes to paste
"""
