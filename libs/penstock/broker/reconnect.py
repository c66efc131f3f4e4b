"""servers → which one is tried next, and after how long."""

from __future__ import annotations

import random

from nats.aio.client import Server

LONGEST_WAIT = 1.0  # seconds, with jitter: a restarted server is found again within two
LONGEST_REFUSED_WAIT = 5.0  # seconds, where the server is there and refuses the credentials
FIRST_WAIT = 0.05  # seconds, doubled with each attempt


class Reconnect:
    """Round robin; the first attempt after a loss at once, then with growing, random waits."""

    def __init__(self) -> None:
        self.refused = False  # whether the last attempt ended at the credentials
        self._attempt = 0

    def begin(self) -> None:
        """The next attempt is the first after a loss."""
        self._attempt = 0

    def failed(self, error: Exception) -> None:
        """Notes why an attempt failed."""
        self.refused = is_refusal(error)

    def choose(self, servers: list[Server], _info: dict[str, object]) -> tuple[Server | None, float]:
        """The next server, and the seconds to wait before."""
        server = servers[self._attempt % len(servers)]
        longest = LONGEST_REFUSED_WAIT if self.refused else LONGEST_WAIT
        longest = min(longest, FIRST_WAIT * 2 ** min(self._attempt, 10))
        wait = 0.0 if self._attempt == 0 else random.uniform(longest / 2, longest)  # noqa: S311 - not a secret
        self._attempt += 1
        return server, wait


def is_refusal(error: Exception) -> bool:
    """Whether the server refused the credentials."""
    return "authorization" in str(error).lower()
