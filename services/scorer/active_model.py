"""registry (KV) → the active version → its package from the object store → verified, loaded, warmed up → the scorer."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import structlog

from penstock import gc_tuning
from penstock.broker import Broker, Entry, Keys, Objects
from penstock.contracts import subjects
from penstock.errors import PenstockError, Refused, Unavailable
from penstock.scoring.package import verify
from penstock.scoring.registry import MODELS, NOTIFICATION, REGISTRY, active_key, object_name
from penstock.services.scorer import metrics
from penstock.services.scorer.logic import Scorer
from penstock.services.scorer.model import Model
from penstock.services.scorer.settings import DEFAULT_MODEL

_log = structlog.get_logger("penstock.scorer.active")

AGAIN_SECONDS = 2.0  # before another try, when the broker did not give the whole package


class ActiveModel:
    """Keeps the scorer on the active version of one model."""

    def __init__(self, broker: Broker, name: str, scorer: Scorer) -> None:
        self._keys = Keys(broker, REGISTRY)
        self._objects = Objects(broker, MODELS)
        self._name = name
        self._scorer = scorer
        self._refused = ""
        self._loading = "the registry was not read yet"
        self._forgotten = False
        metrics.MODEL_VERSION.labels(name).set(0)

    def unready_reason(self) -> str:
        """Why nothing is scored, or not by the version that should; empty while all is well, or none is active."""
        if self._refused:
            return self._refused
        return "" if self._scorer.model is not None else self._loading

    def note(self) -> str:
        """That no version is active, and how to get one; empty once one is."""
        named = "" if self._name == DEFAULT_MODEL else f" --model {self._name}"
        train = f"`penstock model train{named} --activate`"
        if self._forgotten and (model := self._scorer.model) is not None:
            by = model.identity
            return f"the registry has lost {by.name} v{by.version}, which scores until this process stops: {train}"
        if self._scorer.model is not None or self._loading or self._refused:
            return ""
        return f"no model yet: scoring waits; train one with {train}"

    async def follow(self, stop: asyncio.Event) -> None:
        """Loads the active version, and every one that becomes it, until `stop`."""
        await self._keys.watch(self._changed, stop, notification=subjects.notification(NOTIFICATION))

    async def _changed(self, entries: dict[str, Entry]) -> None:
        entry = entries.get(active_key(self._name))
        self._forgotten = entry is None
        if entry is None:
            self._loading = self._refused = ""
            return
        active = orjson.loads(entry.value)
        self._loading = f"{self._name} v{active['version']} is being loaded"
        present = self._scorer.model
        if present and (present.identity.version, present.identity.digest) == (active["version"], active["digest"]):
            self._refused = ""
            return
        try:
            model = await self._load(active)
        except Refused as error:
            # What scores now goes on; another activation is the way out.
            refused = f"{self._name} v{active['version']} cannot be loaded: {error.code}: {error.detail}"
            if refused != self._refused:  # once, however often the watch looks again
                self._refused = refused
                metrics.MODEL_REFUSED.labels(self._name, error.code).inc()
                _log.error("model_refused", model=self._name, version=active["version"], reason=str(error))
            if error.code == "NOT_FOUND":  # its package may be stored again, which changes nothing in the registry
                await asyncio.sleep(AGAIN_SECONDS)
                raise Unavailable(error.code, error.detail) from error  # the watch looks again
            return
        except PenstockError as error:
            _log.warning("model_not_fetched", model=self._name, version=active["version"], reason=str(error))
            await asyncio.sleep(AGAIN_SECONDS)
            raise Unavailable(error.code, error.detail) from error  # the watch looks again
        self._refused = ""
        self._scorer.use(model)
        gc_tuning.freeze_live_objects()  # TensorFlow brings a million lasting objects
        metrics.MODEL_VERSION.labels(self._name).set(model.identity.version)
        _log.info("model_loaded", model=self._name, version=model.identity.version, digest=model.identity.digest)

    async def _load(self, active: dict[str, Any]) -> Model:
        name, version = self._name, int(active["version"])
        package = verify(await self._objects.get(object_name(name, version)), active["digest"])
        return await asyncio.to_thread(Model.load, name, version, package)
