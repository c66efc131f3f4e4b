"""The indexer: events and scores into Elasticsearch, and answers to questions from there."""
