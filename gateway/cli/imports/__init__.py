"""From other gateways' configurations to ours.

In the order in which to read them:

    yaml_file     a file of LiteLLM's, with those that it includes
    wording       references to variables, keys that stand in a file, values as TOML
    leftovers     what has no counterpart, to be told to the person
    providers     `litellm_params` to tables of providers
    models        `model_list` to models and routes
    settings      everything else
    conversion    all of it together
    command       `gateway import`
"""
