"""$JS.EVENT.ADVISORY.API → calls that made, changed, removed or read something beyond its state: who, what, when, how
it ended. What came back is left out: it may hold messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from penstock.broker import StoredMessage
from penstock.contracts import Contracts, nats_subjects

# Looking at the state of things is what every worker does all the time.
QUIET = ("INFO", "NAMES", "LIST")
LONGEST = 2048  # characters of a request; it is configuration, a sequence, or a filter


class Calls:
    """`names` has the identity of each public key that is known here."""

    def __init__(self, contracts: Contracts, names: Mapping[str, str]) -> None:
        self._names = names
        # In an account with one identity, whoever calls from there is that one.
        accounts: list[str] = [identity.account for identity in contracts.identities.values()]
        self._alone: dict[str, str] = {
            identity.account: name
            for name, identity in contracts.identities.items()
            if accounts.count(identity.account) == 1
        }

    def entries(self, page: Sequence[StoredMessage]) -> list[dict[str, Any] | None]:
        """One for each message."""
        return [self._entry(message.data) for message in page]

    def _entry(self, data: bytes) -> dict[str, Any] | None:
        try:
            call = orjson.loads(data)
            operation = nats_subjects.api_operation(str(call["subject"]))
            client = call.get("client") or {}
            if any(part in QUIET for part in operation.split(".")[:2]):
                return None
            entry = {
                "time": call.get("timestamp", ""),
                "actor": self._who(client),
                "account": client.get("acc", ""),
                "client": client.get("name", ""),
                "host": client.get("host", ""),
                "server": call.get("server", ""),
                "operation": operation,
                "request": str(call.get("request", ""))[:LONGEST],
            }
            answer = orjson.loads(call.get("response") or "{}")
            if error := answer.get("error"):
                entry["error"] = f"{error.get('description', '')} ({error.get('err_code', error.get('code', ''))})"
            return entry
        except (ValueError, KeyError, TypeError, AttributeError):
            return {"actor": "", "operation": "unreadable", "bytes": len(data)}

    def _who(self, client: Mapping[str, Any]) -> str:
        user = str(client.get("user") or "")
        return self._names.get(user) or user or self._alone.get(str(client.get("acc")), "")
