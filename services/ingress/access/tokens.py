"""Authorization: Bearer <JWT> → verified claims → the identity that they stand for → HttpCaller."""

from __future__ import annotations

from collections import OrderedDict

from starlette.types import Scope

from penstock.auth.principal import Principal, who
from penstock.auth.token_verifier import Claims, TokenVerifier
from penstock.contracts import Contracts
from penstock.errors import Refused
from penstock.services.ingress.access.caller import HttpCaller, http_caller
from penstock.services.ingress.access.credentials import bearer
from penstock.services.ingress.access.edge_identity import must_agree

MOST_CALLERS = 10_000


class TokenCallers:
    """Tokens of the issuers in issuers.yaml. An identity with an entry in identities.yaml uses the broker instead."""

    def __init__(self, verifier: TokenVerifier, contracts: Contracts) -> None:
        self._verifier = verifier
        self._contracts = contracts
        self._callers: OrderedDict[Claims, HttpCaller] = OrderedDict()

    async def verify(self, scope: Scope) -> HttpCaller:
        """Raises Refused TOKEN_INVALID, TOKEN_EXPIRED or FORBIDDEN, Unavailable ISSUER_UNAVAILABLE."""
        claims = await self._verifier.verify(bearer(scope))
        must_agree(scope, claims.issuer, claims.subject)
        known = self._callers.get(claims)
        if known is None:
            known = self._callers[claims] = self._caller(who(claims, self._contracts))
            if len(self._callers) > MOST_CALLERS:
                self._callers.popitem(last=False)
        return known

    def _caller(self, found: Principal) -> HttpCaller:
        if found.listed:
            raise Refused("FORBIDDEN", f"identity {found.identity} connects to the broker; over HTTP it has no roles")
        return http_caller(
            self._contracts, found.identity, types=found.types, datasets=found.datasets, roles=found.roles
        )
