"""svc.registry.{list,upload,activate} → packages in the object store, versions and the active one in the registry

    pieces ─▶ package, verified ─▶ audit ─▶ object <model>_v<N> ─▶ key version.<model>.<N>
    activate ─▶ audit ─▶ key active.<model> ─▶ notification to the scorers

The only writer of both buckets. A version is described only after its package is stored whole, and never changes.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import orjson
import structlog

from penstock.audit import record
from penstock.broker import Broker, Keys, Objects
from penstock.contracts import subjects
from penstock.errors import Refused, Unavailable
from penstock.events import timestamps
from penstock.rpc.caller import RequestCaller
from penstock.rpc.messages import (
    ActivateModel,
    RegisteredModel,
    RegisteredModels,
    RegistryList,
    UploadChunk,
    UploadState,
)
from penstock.rpc.server import Operation
from penstock.scoring.package import Package, verify
from penstock.scoring.registry import MODELS, NOTIFICATION, REGISTRY, active_key, object_name, version_key
from penstock.services.operator.access import actor_of, require
from penstock.services.operator.uploads import Uploads

_log = structlog.get_logger("penstock.operator.registry")

Json = dict[str, Any]
MOST_MANIFEST = 32 * 1024  # bytes; it stands in the version's key


class Registry:
    """The operations of svc.registry. One process hosts it: an upload lives in its memory."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._keys = Keys(broker, REGISTRY)
        self._objects = Objects(broker, MODELS)
        self._uploads = Uploads()
        self._writing = asyncio.Lock()

    @property
    def operations(self) -> dict[str, Operation]:
        """By name, as the contract has them."""
        return {"list": self.versions, "upload": self.upload, "activate": self.activate}

    async def versions(self, request: Json, caller: RequestCaller) -> Json:
        """RegistryList → RegisteredModels, by name and version."""
        require(caller, "registry", "list")
        question = RegistryList.read(request)
        found = await self.all()
        return RegisteredModels(models=[m for m in found if question.model in (None, m.name)]).to_json()

    async def upload(self, request: Json, caller: RequestCaller) -> Json:
        """UploadChunk → UploadState, with the last piece the version; the same package again is the same version."""
        require(caller, "registry", "upload")
        chunk = UploadChunk.read(request)
        if not subjects.is_token(chunk.name):
            raise Refused("QUERY_INVALID", f"{chunk.name!r} is a reserved name", pointer="/name")
        received = self._uploads.add(caller.identity, chunk)
        if isinstance(received, int):
            return UploadState(upload=chunk.upload, received=received).to_json()
        package = await asyncio.to_thread(verify, received, chunk.digest)
        async with self._writing:
            model = await self._store(chunk.name, package, caller)
        return UploadState(upload=chunk.upload, received=len(received), model=model).to_json()

    async def activate(self, request: Json, caller: RequestCaller) -> Json:
        """ActivateModel → RegisteredModel. Scorers hear of it at once, and find it within a second in any case."""
        require(caller, "registry", "activate")
        question = ActivateModel.read(request)
        async with self._writing:
            key = version_key(question.name, question.version)
            described = await self._keys.get(key)
            model = _read(described.value)
            info = await self._objects.info(object_name(model.name, model.version))
            if info["size"] != model.size:
                raise Refused("MODEL_INVALID", f"the package of {model.name} v{model.version} is not whole")
            now, who = timestamps.text(time.time_ns()), actor_of(caller)
            model = model.model_copy(update={"state": "active", "activated_at": now, "activated_by": who})
            said = {"model": model.name, "version": model.version, "reason": question.reason}
            await self._audit("model_activated", caller, said)
            await self._keys.put(active_key(model.name), orjson.dumps(model.to_json() | {"manifest": None} | said))
            await self._keys.put(key, orjson.dumps(model.to_json()), expected=described.revision)
        self._broker.send(subjects.notification(NOTIFICATION))
        return model.to_json()

    async def _store(self, name: str, package: Package, caller: RequestCaller) -> RegisteredModel:
        if len(orjson.dumps(package.manifest)) > MOST_MANIFEST:
            raise Refused("MODEL_INVALID", f"the manifest has more than {MOST_MANIFEST} bytes")
        versions = [model for model in await self.all() if model.name == name]
        for model in versions:
            if model.digest == package.digest:
                await self._store_again(model, package)
                return model
        version = max((model.version for model in versions), default=0) + 1
        said = {"model": name, "version": version, "digest": package.digest, "size": len(package.raw)}
        await self._audit("model_uploaded", caller, said)
        await self._objects.put(object_name(name, version), package.raw, metadata={"sha256": package.digest})
        model = RegisteredModel(
            name=name,
            version=version,
            feature_schema=package.schema,
            digest=package.digest,
            state="ready",
            size=len(package.raw),
            types=list(package.manifest.get("types", ())),
            created_at=timestamps.text(time.time_ns()),
            created_by=actor_of(caller),
            manifest=package.manifest,
        )
        await self._keys.put(version_key(name, version), orjson.dumps(model.to_json()), expected=0)
        _log.info("model_registered", model=name, version=version, digest=package.digest, by=actor_of(caller))
        return model

    async def _store_again(self, model: RegisteredModel, package: Package) -> None:
        """A package that was removed or damaged since."""
        name = object_name(model.name, model.version)
        try:
            if await self._objects.get(name) == package.raw:
                return
        except (Refused, Unavailable) as error:
            _log.warning("model_stored_again", model=model.name, version=model.version, reason=str(error))
        await self._objects.put(name, package.raw, metadata={"sha256": package.digest})

    async def all(self) -> list[RegisteredModel]:
        """Every version, by name and number. Raises Unavailable."""
        entries = await self._keys.all()
        active = {
            key: orjson.loads(entry.value)["version"] for key, entry in entries.items() if key.startswith("active.")
        }
        found = []
        for key, entry in entries.items():
            if key.startswith("version."):
                model = _read(entry.value)
                scores = active.get(active_key(model.name)) == model.version
                state = "active" if scores else "retired" if model.activated_at else "ready"
                found.append(model.model_copy(update={"state": state}))
        return sorted(found, key=lambda model: (model.name, model.version))

    async def _audit(self, what: str, caller: RequestCaller, detail: Json) -> None:
        await record.write(self._broker, what, actor_of(caller), through=caller.identity, **detail)


def _read(value: bytes) -> RegisteredModel:
    return RegisteredModel.model_validate(orjson.loads(value))
