"""What five people do in their first hours and on their worst days, as scripts.

    developer.sh   demo, SDK, the first file, the first key
    platform.sh    read-only configuration, metrics, TLS, backup and restore, LiteLLM
    oncall.sh      a provider dies, deployments, captures, a kill, a broken file
    finance.sh     prices, budgets, costs, exports that add up, erasure
    security.sh    an open port, web pages, what a body may choose, leaks, the trail
    steps.sh       what they have in common
    forks          an installation's commands without their imports, for which `forked` asks

They use only commands that README.md and docs/ have, which `test_walks` checks, and run with the
program of a fresh clone and with that of a built wheel (`installations`). By hand, in an empty
folder with `gateway` on the path:

    STEPS=.../steps.sh DOCS=... PORT=8081 PORT2=8082 PORT3=8083 bash .../NAME.sh
"""
