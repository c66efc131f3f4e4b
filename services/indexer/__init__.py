"""The indexer: events and scores into Elasticsearch, and answers to requests from there."""
