"""What the streams accepted, compared with what both stores hold of it."""
