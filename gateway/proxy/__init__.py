"""One request, from its body to its settled record, on Trio. Knows the edges by Protocols."""
