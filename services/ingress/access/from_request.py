"""The authenticated caller of a request, as a FastAPI dependency."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from penstock.services.ingress.access.caller import HttpCaller
from penstock.services.ingress.access.credentials import Verifier


async def verified(request: Request) -> HttpCaller:
    """Who sent the request. Raises what the verifier raises."""
    verifier: Verifier = request.app.state.verifier
    return await verifier.verify(request.scope)


FromCaller = Annotated[HttpCaller, Depends(verified)]
