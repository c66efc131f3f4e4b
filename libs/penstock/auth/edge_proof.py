"""What the edge shows with each request, so that the ingress takes the address it forwards: a secret both can read."""

from __future__ import annotations

from pathlib import Path

from penstock import secret_file

HEADER = b"penstock-edge"
_NAME = "edge_proof"


def ensure(secrets: Path) -> bytes:
    """The secret in this folder; made by the first that asks. Raises as secret_file.ensure, or OSError."""
    return secret_file.ensure(secrets / _NAME, secret_file.random_text)
