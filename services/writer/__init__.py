"""The writer: events and scores into Cassandra, and answers to requests from there."""
