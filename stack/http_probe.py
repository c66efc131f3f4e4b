"""One bounded HTTP question to a server of the stack that may not be there yet."""

from __future__ import annotations

import http.client


def answers(port: int, path: str, *, timeout: float = 2.0) -> bool:
    """True if GET http://127.0.0.1:<port><path> says 200 within the time-out (seconds)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
