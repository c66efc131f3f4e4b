"""Whether any model is active: without one no event is scored, and whoever waits for scores would wait in vain."""

from __future__ import annotations

import asyncio
import time

from penstock.broker import Broker
from penstock.errors import PenstockError
from penstock.rpc.client import ask
from penstock.rpc.messages import RegisteredModels, RegistryList

AGAIN_SECONDS = 1.0  # between two requests to the registry
PATIENCE = 2.0


class ActiveModels:
    """Asks the registry while somebody waits, until one is active: a version is replaced, but never switched off."""

    def __init__(self) -> None:
        self._asked = -AGAIN_SECONDS
        self._asking = asyncio.Lock()
        self._missing = False
        self.found = False

    async def missing(self, broker: Broker) -> bool:
        """Whether it is certain that none is active."""
        async with self._asking:
            if not self.found and time.monotonic() - self._asked >= AGAIN_SECONDS:
                self._missing = await self._none_is_active(broker)
                self._asked = time.monotonic()
            return self._missing

    async def _none_is_active(self, broker: Broker) -> bool:
        try:
            reply = await ask(broker, "registry", "list", RegistryList().to_json(), timeout=PATIENCE)
        except PenstockError:
            return False
        self.found = any(model.state == "active" for model in RegisteredModels.model_validate(reply).models)
        return not self.found
