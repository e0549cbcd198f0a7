"""Keeps requests away from a deployment that fails, unless they have nowhere else to go.

In reading order:

    policy    when a breaker opens and how it closes, as the configuration says
    states    the states of a breaker, what leads from one to another, and kinds of permits
    rates     when so many failures are too many, with another deployment beside it and without
    throttle  what an open breaker lets through for requests that have no other deployment
    breaker   the machine itself: attempts enter, and leave with how they ended

One breaker is a deployment's; `blame/` gives others to callers whose requests alone fail.
"""
