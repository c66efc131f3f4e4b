"""verified claims + identities.yaml → the identity, and the roles of one that has no line there. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from penstock.auth.token_verifier import Claims
from penstock.contracts import Contracts, subjects
from penstock.errors import Refused


@dataclass(frozen=True, slots=True)
class Principal:
    """`listed`: identities.yaml has an entry for it. Otherwise its roles say what it may do, on `types` and `datasets`
    ("*" is all)."""

    identity: str
    listed: bool
    roles: tuple[str, ...] = ()
    types: frozenset[str] = frozenset()
    datasets: frozenset[str] = frozenset()


def who(claims: Claims, contracts: Contracts) -> Principal:
    """Who the claims are of. Raises Refused FORBIDDEN when they have neither an entry nor a role."""
    if (name := _listed(claims, contracts)) is not None:
        return Principal(name, listed=True)
    identity = person(claims.issuer, claims.subject)
    groups = set(claims.groups)
    roles = tuple(name for name, role in contracts.roles.items() if groups.intersection(role.groups))
    if not roles:
        raise Refused("FORBIDDEN", f"{identity} is in no group that a role names, and no client or subject of an entry")
    return Principal(
        identity,
        listed=False,
        roles=roles,
        types=frozenset(type for role in roles for type in contracts.roles[role].types),
        datasets=frozenset(dataset for role in roles for dataset in contracts.roles[role].datasets),
    )


def person(issuer: str, subject: str) -> str:
    """The name of who has no line: the same for the same issuer and subject, and nobody can choose it (128 bits)."""
    return subjects.PERSON + hashlib.sha256(f"{issuer}\0{subject}".encode()).hexdigest()[:32]


def _listed(claims: Claims, contracts: Contracts) -> str | None:
    found = {
        name
        for name, identity in contracts.identities.items()
        if ("clients" in claims.gives and claims.client and claims.client in identity.clients)
        or ("subjects" in claims.gives and claims.subject in identity.subjects)
    }
    if len(found) > 1:
        raise Refused("FORBIDDEN", f"client and subject of the token are two identities: {', '.join(sorted(found))}")
    name = next(iter(found), None)
    if name is not None and (not subjects.is_token(name) or contracts.identities[name].account != "APP"):
        raise Refused("FORBIDDEN", f"no token gives entry as {name}")
    return name
