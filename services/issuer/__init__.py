"""The issuer: a local OIDC token issuer for fleets without a provider of their own."""
