"""How much is under way at once, and what is asked of providers besides requests.

In reading order:

    slots     the right to be under way, for the gateway or one provider, and the queue for it
    shared_slots  the same for all processes together
    turns     a short wait for a place that a caller is about to give up
    control   all slots of the process, and the configuration's limits for them
    body_memory  the bytes of request bodies that are held, and a short wait for room
    lag       how late the event loop is
    overload  turns requests away before they cost anything, by lag and number
    refused_keys  what becomes of keys that are none
    probing   active health checks of providers

Limits of callers (rates, budgets) are not here: `proxy/admission.py` asks `Limits` for them,
through `turns`.
"""
