"""Authentication of callers: API keys and tokens, and what each caller may do."""
