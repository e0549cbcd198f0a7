"""One process's gateway, put together from all the other packages.

In the order in which to read them:

    application  the gateway of this process: its configuration, its lifecycle, its ASGI app
    components   the parts that outlive every reload, and how they take a configuration
    credentials  access tokens, fetched before they are needed and again ahead of their end
    local_servers  the providers' servers that the gateway runs itself
    recording    what is made of each request that has ended: log lines, database, metrics, spans
    database_opening  the database at the start: brought up to date, or asked until it is there
    budgets      keeps budgets in step with what is on record
    budget_gauges  what is spent and left of them, as metrics show it
    memory       how much memory the process may have
    metrics      what counts records for Prometheus
    gauges       the state of all parts, as metrics show it
    administration/  the admin API and the dashboard, put together at the first request for them
    reloader     reloads, one after the other
    serving/     what the server needs of the configuration, and what is told of reloads
    reread       the configuration that a reload reads

Only this package and `cli/` know every part by name; the others meet through protocols.
"""
