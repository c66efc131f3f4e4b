"""Authorization: Bearer → key or OIDC token → is it good, whose is it, is that one denied → Caller.

A key begins with `pk_`; everything else is a token of one of the issuers in issuers.yaml, where there is that file.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from starlette.types import Scope

from penstock.auth.api_keys import ALL
from penstock.auth.principal import Principal, who
from penstock.auth.token_verifier import Claims, TokenVerifier
from penstock.contracts import Contracts, operations
from penstock.errors import Refused
from penstock.services.ingress.access.authenticate import Caller, Verifier, bearer
from penstock.services.ingress.access.edge_identity import must_agree

KEY_PREFIX = "pk_"
MOST_CALLERS = 10_000


class OidcCallers:
    """Tokens. A caller with a line in identities.yaml has the broker as its door, and none here."""

    def __init__(self, verifier: TokenVerifier, contracts: Contracts) -> None:
        self._verifier = verifier
        self._contracts = contracts
        self._callers: OrderedDict[Claims, Caller] = OrderedDict()

    async def verify(self, scope: Scope) -> Caller:
        """Raises Refused TOKEN_INVALID, TOKEN_EXPIRED or FORBIDDEN, Unavailable ISSUER_UNAVAILABLE."""
        claims = await self._verifier.verify(bearer(scope))
        must_agree(scope, claims.issuer, claims.subject)
        known = self._callers.get(claims)
        if known is None:
            known = self._callers[claims] = self._caller(who(claims, self._contracts))
            if len(self._callers) > MOST_CALLERS:
                self._callers.popitem(last=False)
        return known

    def _caller(self, found: Principal) -> Caller:
        if found.listed:
            raise Refused("FORBIDDEN", f"identity {found.identity} has its door at the broker; here it has no roles")
        contracts = self._contracts
        roles = [contracts.roles[name] for name in found.roles]
        asks = {
            f"{service}.{operation}" for role in roles for service, operation in operations(contracts, role.requests)
        }
        return Caller(
            identity=found.identity,
            types=frozenset(contracts.types) if ALL in found.types else found.types,
            datasets=frozenset(contracts.datasets) if ALL in found.datasets else found.datasets,
            roles=frozenset(found.roles),
            sends=any("send" in role.may for role in roles),
            tails=any("tail" in role.may for role in roles),
            asks=frozenset(asks),
        )


class Doorkeeper:
    """Keys, tokens where issuers are configured, and the list of denied identities for both."""

    def __init__(self, keys: Verifier, tokens: Verifier | None, is_revoked: Callable[[str], bool]) -> None:
        self._keys = keys
        self._tokens = tokens
        self._is_revoked = is_revoked

    async def verify(self, scope: Scope) -> Caller:
        """Raises Refused UNAUTHENTICATED, IDENTITY_REVOKED and what the two raise."""
        by_key = self._tokens is None or bearer(scope).startswith(KEY_PREFIX)
        caller = await (self._keys if by_key or self._tokens is None else self._tokens).verify(scope)
        if self._is_revoked(caller.identity):
            raise Refused("IDENTITY_REVOKED", f"{caller.identity} is denied entry")
        return caller
