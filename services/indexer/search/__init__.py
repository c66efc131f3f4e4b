"""svc.search: queries, counts and similarity answered from Elasticsearch."""
