"""model package → pieces → svc.registry.upload → a version, and on wish the one that scores."""

from __future__ import annotations

import os
from base64 import b64encode
from hashlib import sha256

from penstock.broker import Broker
from penstock.rpc.client import ask
from penstock.rpc.messages import MAX_CHUNK, RegisteredModel, UploadState

PIECE = MAX_CHUNK // 4 * 3  # bytes whose base64 fits
SECONDS = 30.0


async def upload(broker: Broker, name: str, package: bytes, *, activate: bool, reason: str = "") -> RegisteredModel:
    """The registered version. Raises what the registry says, or Unavailable when it does not answer."""
    number = os.urandom(16).hex()
    state = UploadState(upload=number, received=0)
    while state.model is None:
        piece = package[state.received : state.received + PIECE]
        last = state.received + len(piece) == len(package)
        chunk = {
            "name": name,
            "upload": number,
            "offset": state.received,
            "data": b64encode(piece).decode(),
            "last": last,
        }
        if last:
            chunk["digest"] = sha256(package).hexdigest()
        state = UploadState.model_validate(await ask(broker, "registry", "upload", chunk, timeout=SECONDS))
    model = state.model
    if activate and model.state != "active":
        request = {"name": name, "version": model.version, "reason": reason}
        model = RegisteredModel.model_validate(await ask(broker, "registry", "activate", request, timeout=SECONDS))
    return model
