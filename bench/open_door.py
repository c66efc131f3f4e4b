"""The ingress that lets everybody in without a look at credentials: what verification is measured against.

Only bench/identity.py starts it; there is no setting that opens a real one.
"""

from __future__ import annotations

from starlette.types import Scope

from penstock.contracts import load
from penstock.services.ingress import app
from penstock.services.ingress.__main__ import main
from penstock.services.ingress.access.authenticate import Caller


class Open:
    """In the place of the doorkeeper: the same caller for every request."""

    def __init__(self, *_: object) -> None:
        known = load()
        self._caller = Caller(
            identity="bench",
            types=frozenset(known.types),
            datasets=frozenset(known.datasets),
            roles=frozenset({"sender"}),
            sends=True,
            tails=False,
            asks=frozenset(),
        )

    async def verify(self, _: Scope) -> Caller:
        """Everybody is `bench`."""
        return self._caller


app.Doorkeeper = Open  # type: ignore[assignment, attr-defined]
main()
