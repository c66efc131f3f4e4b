"""Authorization: Bearer → API key or OIDC token → HttpCaller, unless that identity is denied.

A key begins with `pk_`; everything else is a token of one of the issuers in issuers.yaml, where there is that file.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import Scope

from penstock.errors import Refused
from penstock.services.ingress.access.caller import HttpCaller
from penstock.services.ingress.access.credentials import AUTHENTICATED, KEY_PREFIX, Verifier, bearer


class Authenticator:
    """Keys, tokens where issuers are configured, and the list of denied identities for both."""

    def __init__(self, keys: Verifier, tokens: Verifier | None, is_denied: Callable[[str], bool]) -> None:
        self._keys = keys
        self._tokens = tokens
        self._is_denied = is_denied

    async def verify(self, scope: Scope) -> HttpCaller:
        """Raises Refused UNAUTHENTICATED, IDENTITY_REVOKED and what the two raise."""
        by_key = self._tokens is None or bearer(scope).startswith(KEY_PREFIX)
        caller = await (self._keys if by_key or self._tokens is None else self._tokens).verify(scope)
        if self._is_denied(caller.identity):
            raise Refused("IDENTITY_REVOKED", f"{caller.identity} is denied entry")
        scope[AUTHENTICATED] = True
        return caller
