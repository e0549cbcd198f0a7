"""What is known of models: prices, context windows, limits, capabilities, dates.

    fact       what is known of one model
    book       all models of one version of the data, and how a provider's model is found there
    foreign    other people's data, as ours
    current    the book that a gateway goes by: that of the package, or a later one of the operator
    encodings  which tokenizer counts for which model
    pricelist  the prices of what has been asked before
policy     the table `[catalog]`: what of it a gateway goes by
    terms      what it adds to the terms of a route

The data of the package are `models.json`, one model a line. `scripts/models` makes it of the wheel
of LiteLLM, whose table of models is under the MIT licence; `models.json.license` has its notice.
"""
