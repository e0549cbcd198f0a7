"""What more workers bring, and how exactly they keep a limit that they share.

gateway  the one that is measured, and the server that it may share its limits in
session  each number of workers with each place for limits, in turn
report   tables, the JSON file and what speaks against trusting them
plot     the chart
"""
