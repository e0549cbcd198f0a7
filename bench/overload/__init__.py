"""What the gateway does when more is asked of it than it can answer.

plan     what one run sends, and what it has counted
load     the load client: requests at a constant rate, whatever becomes of them
gateway  the one that is measured
session  the gateway under all loads, in turn
report   tables, the JSON file and what speaks against trusting them
plot     the chart
"""
