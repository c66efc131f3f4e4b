"""$SYS.ACCOUNT.*.CONNECT, DISCONNECT, CLIENT.AUTH.ERR → who connected from where, who left and why, who was refused.

Best effort: the server tells this once. With tokens, the authority has put each decision onto the trail before anyone
got in. Anybody can cause refusals, so of one page only their number by host is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from penstock.broker import StoredMessage
from penstock.contracts import subjects

ACTIONS = {"CONNECT": "connected", "DISCONNECT": "disconnected", "ERR": "refused"}
MOST_HOSTS = 50


class Sessions:
    """`names` has the identity of each public key that is known here."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def entries(self, page: Sequence[StoredMessage]) -> list[dict[str, Any] | None]:
        """One for each message, or None where an earlier one counts for it."""
        refused: dict[str, dict[str, Any]] = {}
        return [self._entry(message, refused) for message in page]

    def _entry(self, message: StoredMessage, refused: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
        action = ACTIONS.get(subjects.session_event(message.subject), "unknown")
        try:
            body = orjson.loads(message.data)
            client = body["client"]
            host = str(client.get("host", ""))
            if action == "refused":
                return _refusal(body, host, refused)
            user = str(client.get("user") or "")
            entry = {
                "time": body["timestamp"],
                "action": action,
                "identity": self._names.get(user, user),
                "account": client.get("acc", ""),
                "server": body["server"]["id"],
                "connection": client.get("id", 0),
                "host": host,
                "client": str(client.get("name", ""))[:128],
            }
            return entry | ({"reason": body.get("reason", "")} if action == "disconnected" else {})
        except (ValueError, KeyError, TypeError, AttributeError):
            return {"action": action, "identity": "", "bytes": len(message.data)}


def _refusal(body: Mapping[str, Any], host: str, refused: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    if host not in refused and len(refused) >= MOST_HOSTS:
        host = "others"
    known = refused.get(host)
    if known is not None:
        known["count"] += 1
        return None
    refused[host] = {
        "time": body["timestamp"],
        "action": "refused",
        "identity": "",
        "host": host,
        "reason": str(body.get("reason", ""))[:128],
        "count": 1,
    }
    return refused[host]
