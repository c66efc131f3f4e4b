"""Signing in at an OIDC provider, and keeping the tokens."""
