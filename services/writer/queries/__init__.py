"""svc.store: records, timelines, counts and audit records answered from Cassandra."""
