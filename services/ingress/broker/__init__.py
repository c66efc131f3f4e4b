"""The ingress's connection to the broker, and whether the broker stores durably."""
