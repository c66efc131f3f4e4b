"""Penstock: an event fleet over NATS JetStream."""
