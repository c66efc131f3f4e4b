"""What is removed from the models under a running operator is noticed, named, and cleared by what the note says."""

from __future__ import annotations

from penstock.contracts import nats_subjects
from penstock.provisioning import provision
from penstock.runtime import Worker
from penstock.scoring.registry import MODELS, REGISTRY, object_name
from penstock.services.operator.__main__ import build
from penstock.stack.place import Place
from tests.support.blank_package import blank_package
from tests.support.broker_rig import Rig
from tests.support.until import until
from tests.support.workers import RunningWorker, ask_registry, register


async def test_a_lost_or_damaged_package_is_named_until_it_is_whole_again(rig: Rig) -> None:
    settings = rig.place.model_copy(update={"check_seconds": 0.1})
    async with RunningWorker(rig, "operator", build, settings=settings) as operator:
        first = await register(rig, blank_package())
        active = await register(rig, blank_package(2))
        await until(lambda: operator.notes() == [])

        async def purge(stream: str, subject: str | None = None) -> None:
            await rig.core.jetstream.api(f"STREAM.PURGE.{stream}", {"filter": subject} if subject else {})

        stream = nats_subjects.object_stream(MODELS)
        await purge(stream, nats_subjects.object_info(MODELS, object_name("surprise", active.version)))
        note = await noted(operator, f"the package of surprise v{active.version} is gone; ")
        assert note.endswith(
            f"`penstock model train --model surprise --activate`, or `penstock model activate surprise {first.version}`"
        )
        assert operator.unready_reasons() == []
        # Training on the same events makes the same package.
        assert (await register(rig, blank_package(2))).version == active.version
        await until(lambda: operator.notes() == [])

        await purge(stream, nats_subjects.object_chunks(MODELS, "*"))
        await noted(operator, f"the package of surprise v{active.version} is damaged; ")
        await register(rig, blank_package(2))
        await until(lambda: operator.notes() == [])

        await rig.core.jetstream.api(f"STREAM.DELETE.{nats_subjects.key_stream(REGISTRY)}", {})
        await provision.apply(rig.place)
        await noted(operator, f"the registry has lost surprise v{active.version}, which was active; ")
        assert (await ask_registry(rig, "list", {}, "ann", "operator"))["models"] == []
        await register(rig, blank_package(2))
        await until(lambda: operator.notes() == [])


async def noted(operator: Worker[Place], begin: str) -> str:
    """The note that begins so; there may be others, as while nothing can be checked."""

    def found() -> str | None:
        return next((note for note in operator.notes() if note.startswith(begin)), None)

    return await until(found)
