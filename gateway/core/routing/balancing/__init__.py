"""The order in which a request may try the deployments of a pool.

In reading order:

    balancer    what all strategies share: probes first, what is available next, the rest last
    rotation    `weighted` and `round_robin`: smooth weighted round robin
    least       `least_busy` and `lowest_latency`
    rendezvous  `sticky`: the same key to the same deployment
    homes       which deployment keeps what a request goes on from: it goes nowhere else
    strategies  the strategies by their names in the configuration, with the short ones

A balancer remembers only what its strategy needs between requests. The health of the deployments
is read anew for each request.
"""
