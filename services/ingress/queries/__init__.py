"""Queries over HTTP, passed to the workers that answer them."""
