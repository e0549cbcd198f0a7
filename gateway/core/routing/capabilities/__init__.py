"""What a deployment can do, as far as that is declared, and what a request finds missing.

    declared  the flags of a kind of provider, of a provider and of a route, one over the other
    missing   compares them with what a request needs (`core/dialects/needs.py`)

A deployment that cannot serve a request is passed over before anything is sent: a provider's
refusal costs a round trip, and some providers answer as if they had seen the picture.
"""
