"""The settings of the peers, from the environment, and the event as they know it."""

from __future__ import annotations

import hashlib
import os
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

STREAM = "PEERS"
NATS = os.environ["PEER_NATS"]
USER, PASSWORD = os.environ["PEER_USER"], os.environ["PEER_PASSWORD"]


class CloudEvent(BaseModel):
    """The members of an event that the peers read."""

    specversion: str = Field(pattern=r"^1\.0$")
    type: str = Field(min_length=1)
    source: str = Field(min_length=1)
    id: str = Field(min_length=1)
    time: datetime
    subject: str
    data: dict[str, Any]


def key_of(event: dict[str, Any]) -> str:
    """A UUID derived from the event's identity, as text."""
    text = hashlib.sha256(f"{event['source']}\0{event['id']}".encode()).hexdigest()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:32]}"
