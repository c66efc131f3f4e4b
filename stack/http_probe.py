"""One bounded HTTP request to a server of the stack that may not be there yet."""

from __future__ import annotations

import http.client


def get(port: int, path: str, *, timeout: float = 2.0) -> tuple[int, bytes] | None:
    """Status and body of GET http://127.0.0.1:<port><path>; None if nobody answered within the time-out (seconds)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def answers(port: int, path: str, *, timeout: float = 2.0) -> bool:
    """True if that GET returns 200."""
    answer = get(port, path, timeout=timeout)
    return answer is not None and answer[0] == 200
