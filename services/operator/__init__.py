"""The operators: replays, planned and driven; the registry of models."""
