"""Load and cost measurements of the gateway, and of what it is compared with.

`python -m bench` drives the gateway, `python -m bench compare` also drives Hypercorn alone and
LiteLLM, in turn, `python -m bench.micro` times single functions. README.md says how and why.

    upstream.py   the paced fake provider, and chunks.py the bytes that it sends
    load.py       the load client, and window.py what it counts
    scenarios.py  what is asked: how many connections, events, at which pace
    subjects.py   what is measured: direct, hypercorn (bare.py), gateway, litellm (litellm.py)
    tree.py       a process with all its children: CPU, memory, pinning
    compare.py    one session: rounds of every subject under every scenario
    results.py    medians, ratios and targets; report.py and chart.py show them

Clients, providers and subjects are separate processes, so that each one's CPU time is its own.
"""
