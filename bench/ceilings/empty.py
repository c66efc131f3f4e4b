"""HTTP → FastAPI → 202 and nothing else, under the uvicorn settings of the ingress: what the framework alone costs.

python -m bench.ceilings.empty <port>
"""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI, Response

app = FastAPI()


@app.get("/livez")
async def live() -> Response:
    """200 once it runs."""
    return Response()


@app.post("/v1/events", status_code=202)
async def accept() -> dict[str, int]:
    """Reads and stores nothing."""
    return {"accepted": 1}


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="asyncio",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=1024,
        timeout_keep_alive=75,
    )
