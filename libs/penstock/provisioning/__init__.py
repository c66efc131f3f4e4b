"""Streams, consumers, buckets and server configuration, made from the contracts."""
