"""Replays: planned by count, applied by hash, driven by the leading replica, proven by outcomes."""
