"""verified claims + contracts + the list of denied → identity, roles, allow lists and expiry, or a refusal. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from penstock.auth.permissions import Permissions, permissions_of, permissions_of_roles
from penstock.auth.principal import Principal, who
from penstock.auth.token_verifier import Claims
from penstock.contracts import Contracts
from penstock.errors import Refused

ACCOUNT = "APP"
LONGEST = 24 * 3600  # seconds that a connection stays without a new decision, however long its token lives


@dataclass(frozen=True, slots=True)
class Admission:
    """What a connection becomes. `expires_at` is in Unix seconds and no later than the token's."""

    who: Principal
    permissions: Permissions
    expires_at: int


class Decider:
    """Decides by the contracts; the rights of an entry are worked out once."""

    def __init__(self, contracts: Contracts, is_denied: Callable[[str], bool]) -> None:
        self._contracts = contracts
        self._is_denied = is_denied
        self._listed: dict[str, Permissions] = {}

    def decide(self, claims: Claims, now: float) -> Admission:
        """Raises Refused FORBIDDEN, IDENTITY_REVOKED or TOKEN_EXPIRED."""
        found = who(claims, self._contracts)
        if self._is_denied(found.identity):
            raise Refused("IDENTITY_REVOKED", f"{found.identity} is denied entry")
        if claims.expires_at <= now:  # a server has no leeway for the end of a user JWT
            raise Refused("TOKEN_EXPIRED", "the token has expired")
        allowed = self._rights(found)
        if not allowed.publish:
            raise Refused("FORBIDDEN", f"{found.identity} may do nothing here; requests go through the ingress")
        return Admission(found, allowed, min(claims.expires_at, int(now) + LONGEST))

    def _rights(self, found: Principal) -> Permissions:
        if not found.listed:
            return permissions_of_roles(self._contracts, found.identity, found.roles)
        known = self._listed.get(found.identity)
        if known is None:
            known = self._listed[found.identity] = permissions_of(self._contracts, found.identity)
        return known
