"""The writer: events and scores into Cassandra, and answers to questions from there."""
