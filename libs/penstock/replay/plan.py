"""A plan as it is hashed: every member but the hash, canonical JSON, SHA-256."""

from __future__ import annotations

from hashlib import sha256

import orjson

from penstock.rpc.messages import ReplayPlan

SHORT = 12  # digits of a hash that stand for it where there is no other


def hash_of(plan: ReplayPlan) -> str:
    """The hash of a plan, whatever it says of itself."""
    members = {name: value for name, value in plan.to_json().items() if name != "hash"}
    return sha256(orjson.dumps(members, option=orjson.OPT_SORT_KEYS)).hexdigest()


def sealed(plan: ReplayPlan) -> ReplayPlan:
    """The plan with its hash."""
    return plan.model_copy(update={"hash": hash_of(plan)})


def plan_key(hash: str) -> str:
    """The key of a plan in the bucket."""
    return f"plan.{hash}"
