"""CloudEvents over HTTP: structured, binary and batched."""
