"""The ingress without authentication: the baseline of its cost.

Only bench/identity.py starts it; no setting turns authentication off.
"""

from __future__ import annotations

from starlette.types import Scope

from penstock.contracts import load
from penstock.services.ingress import app
from penstock.services.ingress.__main__ import main
from penstock.services.ingress.access.caller import HttpCaller


class Open:
    """Takes the place of the verifier: every request has the same caller."""

    def __init__(self, *_: object) -> None:
        known = load()
        self._caller = HttpCaller(
            identity="bench",
            types=frozenset(known.types),
            datasets=frozenset(known.datasets),
            roles=frozenset({"sender"}),
            sends=True,
            tails=False,
            asks=frozenset(),
        )

    async def verify(self, _: Scope) -> HttpCaller:
        """Everybody is `bench`."""
        return self._caller


app.Authenticator = Open  # type: ignore[assignment, attr-defined]
main()
