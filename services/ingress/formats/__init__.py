"""Formats in which events are received."""
