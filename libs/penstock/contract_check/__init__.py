"""The check of contracts/: what one must say, what may change once it is released, and what is rendered from it."""
