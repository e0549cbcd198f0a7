"""Serving the app: sockets, Hypercorn's Trio worker, signals, drain. The one home of Hypercorn."""
