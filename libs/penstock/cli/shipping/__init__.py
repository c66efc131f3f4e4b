"""Log files → records → CloudEvents → the HTTP API in batches: what `penstock send` does."""
