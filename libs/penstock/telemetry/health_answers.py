"""What /livez and /readyz answer, the same for every process."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.responses import JSONResponse

LIVE = {"live": True}


def readiness(reasons: list[str], notes: Iterable[str] = (), **more: object) -> JSONResponse:
    """200 without `reasons`, else 503; each is a sentence. `notes`: what an operator should know of a ready process."""
    body = {"ready": not reasons, "reasons": reasons, "notes": [*notes], **more}
    return JSONResponse(body, 503 if reasons else 200)
