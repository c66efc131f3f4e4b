"""The ingress: the HTTP API through which events come in and queries are answered."""
