"""The scorer process: lanes of EVENTS_HTTP and EVENTS_NATS → model → SCORES; answers svc.score.*"""

from __future__ import annotations

from penstock.broker import Broker
from penstock.consume import LaneOptions, Limits
from penstock.contracts import Contracts, load
from penstock.events import Checker, Event
from penstock.publish import GroupCommitter
from penstock.runtime import Parts, Replayed, Source, main
from penstock.scoring.features import Extractor
from penstock.services.scorer.active_model import ActiveModel
from penstock.services.scorer.logic import Scorer
from penstock.services.scorer.operations import Operations
from penstock.services.scorer.settings import ScorerSettings
from penstock.settings import Settings, load_settings

NAME = "scorer"
MIB = 1024 * 1024


async def build(broker: Broker, _: Settings) -> Parts:
    """All lanes of this process share one model and one committer."""
    own = ScorerSettings()
    known = load()
    committer = GroupCommitter(broker)
    await committer.start()
    scorer = Scorer(Extractor(known), committer, recent=own.recent)
    active = ActiveModel(broker, own.model, scorer)
    operations = Operations(known, scorer)
    checker = Checker(known)

    options = LaneOptions(
        batch=own.batch,
        # What 16 lanes hold together has to stay a small part of the process.
        limits=Limits(messages=4 * own.batch, bytes=8 * MIB, batch_bytes=2 * MIB),
    )
    sources: list[Source[Event]] = [
        Source(
            stream=stream,
            consumer=consumer,
            decode=checker.delivered,
            handle=scorer.handle,
            options=options,
            replayed=lambda _: Replayed(checker.delivered, scorer.handler()),
        )
        for stream, consumer in lanes_of(known, own)
    ]
    return Parts(
        sources=sources,
        service="score",
        operations={"embed": operations.embed, "models": operations.models},
        unready_reason=active.unready_reason,
        note=active.note,
        may_consume=scorer.loaded,
        background=[active.follow],
        close=committer.stop,
    )


def lanes_of(known: Contracts, own: ScorerSettings) -> list[tuple[str, str]]:
    """(stream, consumer) of every lane that this process takes."""
    found = []
    for name, stream in known.streams.items():
        if stream.door is not None and NAME in stream.consumers:
            members = stream.members(NAME)
            found += [(name, members[lane]) for lane in own.assigned(len(members))]
    return found


if __name__ == "__main__":
    main(NAME, build, load_settings())
