"""The real servers and the fleet as local child processes: for development, tests and the one-command start."""
