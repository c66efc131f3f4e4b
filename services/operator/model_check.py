"""registry and packages, compared → active versions whose package is gone or damaged, and what helps

The operator is the only one who writes to both, so what is missing there was removed by somebody else. Scorers keep a
version that they have loaded, and would not find it again after a restart.
"""

from __future__ import annotations

from penstock.broker import Broker, Objects
from penstock.errors import Refused, Unavailable
from penstock.rpc.messages import RegisteredModel
from penstock.runtime import Findings
from penstock.scoring.registry import MODELS, object_name
from penstock.services.operator.registry import Registry


class ModelCheck:
    """Reads the packages of active versions whole. It remembers which were active, so that an emptied registry is
    seen."""

    def __init__(self, broker: Broker, registry: Registry) -> None:
        self._objects = Objects(broker, MODELS)
        self._registry = registry
        self._active: dict[str, int] = {}

    async def check(self) -> Findings:
        """Raises Unavailable."""
        models = await self._registry.all()
        active = [model for model in models if model.state == "active"]
        self._active |= {model.name: model.version for model in active}
        there = {model.name for model in active}
        notes = [
            f"the registry has lost {name} v{version}, which was active; scorers keep it until they stop:"
            f" {_train(name)}"
            for name, version in self._active.items()
            if name not in there
        ]
        for model in active:
            if what := await self._wrong(model):
                others = [each.version for each in models if each.name == model.name and each.state != "active"]
                other = f", or `penstock model activate {model.name} {max(others)}`" if others else ""
                notes.append(
                    f"the package of {model.name} v{model.version} is {what}; scorers keep it until they stop:"
                    f" {_train(model.name)}{other}"
                )
        return Findings(notes=tuple(notes))

    async def _wrong(self, model: RegisteredModel) -> str:
        """What is wrong with a package; empty when it is whole."""
        name = object_name(model.name, model.version)
        try:
            data = await self._objects.get(name)
        except Refused as error:
            if error.code != "NOT_FOUND":
                raise
            return "gone"
        except Unavailable:
            await self._objects.info(name)  # the broker answers, so it is the package
            return "damaged"
        return "" if len(data) == model.size else "damaged"


def _train(name: str) -> str:
    return f"`penstock model train --model {name} --activate`"
