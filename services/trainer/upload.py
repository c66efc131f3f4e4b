"""model package → chunks → svc.registry.upload → a version, activated where wanted."""

from __future__ import annotations

import os
from base64 import b64encode
from hashlib import sha256

from penstock.broker import Broker
from penstock.rpc.client import ask
from penstock.rpc.messages import MAX_CHUNK, RegisteredModel, UploadState

CHUNK = MAX_CHUNK // 4 * 3  # bytes whose base64 fits
TIMEOUT = 30.0  # seconds


async def upload(broker: Broker, name: str, package: bytes, *, activate: bool, reason: str = "") -> RegisteredModel:
    """The registered version. Raises the registry's error, or Unavailable when it does not answer."""
    number = os.urandom(16).hex()
    state = UploadState(upload=number, received=0)
    while state.model is None:
        content = package[state.received : state.received + CHUNK]
        last = state.received + len(content) == len(package)
        chunk = {
            "name": name,
            "upload": number,
            "offset": state.received,
            "data": b64encode(content).decode(),
            "last": last,
        }
        if last:
            chunk["digest"] = sha256(package).hexdigest()
        state = UploadState.model_validate(await ask(broker, "registry", "upload", chunk, timeout=TIMEOUT))
    model = state.model
    if activate and model.state != "active":
        request = {"name": name, "version": model.version, "reason": reason}
        model = RegisteredModel.model_validate(await ask(broker, "registry", "activate", request, timeout=TIMEOUT))
    return model
