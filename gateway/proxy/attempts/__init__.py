"""The attempts of one request, until one is shown to the caller.

    pipeline         the loop: what is tried next, and what the caller is told
    lease            what an attempt holds: slot, limits, breaker, key; given back once
    provider_call    the call as a deployment wants it
    attempt          makes it, and reads on until the answer deserves to be shown
    reading/         whole bodies, their compression, and what a stream says before it is shown
    preface          what goes to the caller before the attempt is decided
    relay            copies a committed stream: pump, bounded channel, one write for all that waits
    silence          how long each side of a stream has been quiet
    hedge            a second attempt beside a slow first one
    log              what is written down of an attempt
    trail            what is written down of the deployments that were gone past
    refusal          which refusals a caller is shown, and how much of them
    verdict          the error where no answer can be shown
    own_keys         our keys, taken out of what providers say
    answer_headers   which of a provider's headers a caller gets

`core/routing/attempts.py` decides, this package acts. Read `pipeline`, `attempt`, `relay`.
"""
