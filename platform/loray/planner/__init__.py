"""Parameters, memory, tokens and steps of a run, from its spec and a config.json; no torch."""
