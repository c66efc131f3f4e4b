"""GET /v1/tail: stored events as they come, as server-sent events."""
