"""The replicas of the workers: what they report, and the opening of their brakes."""
