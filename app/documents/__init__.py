"""Documents: what is on their pages, and where. Parsers run in sandboxed reader children only."""
