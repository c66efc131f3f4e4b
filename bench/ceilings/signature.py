"""Precomputed features → the active model's signature, 1024 rows a call: what TensorFlow alone costs.

python -m bench.ceilings.signature <events>
"""

from __future__ import annotations

import asyncio
import sys

import orjson

from bench.ceilings.records import stored_events
from bench.ceilings.timed import timed
from penstock.broker import Broker, Keys, Objects
from penstock.contracts import load
from penstock.scoring.features import Extractor
from penstock.scoring.package import verify
from penstock.scoring.registry import MODELS, REGISTRY, active_key, object_name
from penstock.services.scorer.model import BATCH_MOST, Model
from penstock.services.scorer.settings import ScorerSettings
from penstock.settings import load_settings


async def load_active(name: str) -> Model:
    """The active version of a model."""
    settings = load_settings()
    broker = await Broker.connect(settings.nats, "scorer", settings.credentials_folder)
    active = orjson.loads((await Keys(broker, REGISTRY).get(active_key(name))).value)
    package = verify(await Objects(broker, MODELS).get(object_name(name, active["version"])), active["digest"])
    await broker.drain()
    return Model.load(name, active["version"], package)


def run(count: int) -> None:
    """Answers for `count` events."""
    model = asyncio.run(load_active(ScorerSettings().model))
    extractor, known = Extractor(load()), stored_events(min(count, 8 * BATCH_MOST))
    features = [
        extractor.extract((event.type.type, event.value, event.entity) for event in known[begin : begin + BATCH_MOST])
        for begin in range(0, len(known), BATCH_MOST)
    ]
    model.answer(features[0])
    with timed() as done:
        while done.events < count:
            for part in features:
                model.answer(part)
                done.events += len(part.patterns)


if __name__ == "__main__":
    run(int(sys.argv[1]))
