"""The edge: HAProxy in front of the ingress, its configuration and its keys."""
