"""caller → who acts, and whether they may."""

from __future__ import annotations

from penstock.contracts import load, operations
from penstock.errors import Refused
from penstock.rpc.caller import TRUSTED_PROXY, RequestCaller

COMMAND_LINE = "replayer"  # the identity that says itself for whom it acts: the user of its shell


def require(caller: RequestCaller, service: str, operation: str) -> None:
    """An identity may what the server let it request; a person needs a role that requests it. Raises FORBIDDEN."""
    if caller.on_behalf is None:
        if caller.identity == TRUSTED_PROXY and service in ("operator", "dead_letters", "workers"):
            raise Refused("FORBIDDEN", f"{caller.identity} may do this only on behalf of a person")
        return
    known = load()
    roles = [known.roles[role] for role in caller.roles if role in known.roles]
    if not any((service, operation) in operations(known, role.requests) for role in roles):
        raise Refused("FORBIDDEN", f"no role of {caller.on_behalf.name} allows {service}.{operation}")


def actor_of(caller: RequestCaller, by: str | None = None) -> str:
    """Who acts: the person, the user that the command line names, or the identity."""
    if caller.on_behalf is not None:
        return caller.on_behalf.name
    return by if by and caller.identity == COMMAND_LINE else caller.identity
