"""Authorization header → the credentials in it, and what turns those into a caller."""

from __future__ import annotations

from typing import Protocol

from starlette.types import Scope

from penstock.services.ingress.access.caller import HttpCaller
from penstock.services.ingress.access.challenge import NoCredentials

KEY_PREFIX = "pk_"
AUTHENTICATED = "penstock.authenticated"  # in the scope of a request whose credentials hold


class Verifier(Protocol):
    """Authenticates requests."""

    async def verify(self, scope: Scope) -> HttpCaller:
        """Raises Refused UNAUTHENTICATED, without saying what was wrong with the credentials."""


def bearer(scope: Scope) -> str:
    """The credentials in the Authorization header. Raises Refused UNAUTHENTICATED when there are none, or several."""
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    scheme, _, credentials = values[0].partition(b" ") if len(values) == 1 else (b"", b"", b"")
    if len(values) > 1:
        raise NoCredentials("there is more than one Authorization header")
    if not values or scheme.lower() != b"bearer":
        raise NoCredentials("there is no `Authorization: Bearer` header")
    if not credentials.strip():
        raise NoCredentials("the Authorization header has no key or token behind `Bearer`; is its variable empty?")
    return credentials.strip().decode("latin-1")
