"""Tokens of Kubernetes' service accounts, as an API server signs them for a pod, and the entry that trusts them."""

from __future__ import annotations

from typing import Any

from tests.support.mint import Mint

CLUSTER = "https://kubernetes.default.svc.cluster.local"
TRUST = {
    "gives": ["clients"],
    "client_claim": "kubernetes.io.serviceaccount.name",
    "client_proof": {"sub": "system:serviceaccount:events:{client}"},
}


def token(mint: Mint, account: str = "penstock-indexer", namespace: str = "events", **changes: Any) -> str:
    """A projected token: no `client_id`, no `typ`; audiences are a list; the account is inside `kubernetes.io`."""
    bound = {
        "namespace": namespace,
        "node": {"name": "node-1", "uid": "0b1f"},
        "pod": {"name": f"{account}-7d9f", "uid": "1c2e"},
        "serviceaccount": {"name": account, "uid": "5ad0"},
    }
    subject = f"system:serviceaccount:{namespace}:{account}"
    claims = {"aud": ["penstock"], "client_id": None, "nbf": 1, "kubernetes.io": bound, **changes}
    return mint.token(subject, **claims)
