"""The operator's process: the registry of models."""
