"""The streams: whether they and their consumers are as the contracts want them, and when they will be full."""
