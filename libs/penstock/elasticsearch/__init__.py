"""Elasticsearch as indexer, trainer and edge share it: settings, index names, index templates and clients."""
