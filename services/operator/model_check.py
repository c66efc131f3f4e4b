"""registry and packages, compared → active versions whose package is gone or damaged, and what helps

The operator is the only one who writes to both, so what is missing there was removed by somebody else. Scorers keep a
version that they have loaded, and would not find it again after a restart.
"""

from __future__ import annotations

from penstock.broker import Broker, DamagedObject, Objects, if_there
from penstock.rpc.messages import RegisteredModel
from penstock.runtime import Findings
from penstock.scoring.registry import MODELS, object_name
from penstock.services.operator.registry import Registry


class ModelCheck:
    """Reads the packages of active versions whole, when anything in their store has changed. It remembers which were
    active, so that an emptied registry is seen."""

    def __init__(self, broker: Broker, registry: Registry) -> None:
        self._objects = Objects(broker, MODELS)
        self._registry = registry
        self._active: dict[str, int] = {}
        self._seen: tuple[object, ...] = ()
        self._packages: tuple[str, ...] = ()  # what is wrong with those that `_seen` describes

    async def check(self) -> Findings:
        """Raises Unavailable."""
        models = await self._registry.all()
        active = [model for model in models if model.state == "active"]
        self._active |= {model.name: model.version for model in active}
        there = {model.name for model in active}
        lost = tuple(
            f"the registry has lost {name} v{version}, which was active; scorers keep it until they stop:"
            f" {_train(name)}"
            for name, version in self._active.items()
            if name not in there
        )
        seen = (await self._objects.state(), *((model.name, model.version, model.size) for model in active))
        if seen != self._seen:
            notes = [await self._note(model, models) for model in active]
            self._packages, self._seen = tuple(note for note in notes if note), seen
        return Findings(notes=lost + self._packages)

    async def _note(self, model: RegisteredModel, models: list[RegisteredModel]) -> str:
        what = await self._wrong(model)
        if not what:
            return ""
        note = f"the package of {model.name} v{model.version} is {what}; scorers keep it until they stop:"
        others = sorted(
            (each for each in models if each.name == model.name and each.state != "active"),
            key=lambda each: each.version,
            reverse=True,
        )
        for other in others:
            if not await self._wrong(other):
                return f"{note} {_train(model.name)}, or `penstock model activate {model.name} {other.version}`"
        return f"{note} {_train(model.name)}"

    async def _wrong(self, model: RegisteredModel) -> str:
        """What is wrong with a package; empty when it is whole."""
        try:
            data = await if_there(self._objects.get(object_name(model.name, model.version)))
        except DamagedObject:
            return "damaged"
        if data is None:
            return "gone"
        return "" if len(data) == model.size else "damaged"


def _train(name: str) -> str:
    return f"`penstock model train --model {name} --activate`"
