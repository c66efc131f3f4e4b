"""A plan whose target is a subscriber: only what the identity may subscribe to anyway, and what is done with it."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.contracts import Contracts, subscribers
from penstock.contracts.topology import REPLAY_STREAM
from penstock.errors import Refused
from penstock.rpc.messages import PlanReplay
from penstock.services.operator.replay.filters import NAMES, types_of

MOST_FILTERS = 64  # of a stream: each is read by itself, so that messages come in their order


def is_for_subscriber(contracts: Contracts, request: PlanReplay) -> bool:
    """Whether the plan's target is a subscriber. Raises Refused REPLAY_UNSUPPORTED when it is not said that it is."""
    if request.effect != "deliver" and request.target in subscribers(contracts):
        raise Refused(
            "REPLAY_UNSUPPORTED",
            f"{request.target} is a subscriber; name it subscriber:{request.target} (effect: deliver)",
            pointer="/target",
        )
    return request.effect == "deliver"


def does(contracts: Contracts, request: PlanReplay) -> str:
    """What the run will do. Raises Refused REPLAY_RIGHT_MISSING for what the identity may not receive."""
    target = request.target
    identity = contracts.identities.get(target)
    if identity is None:
        raise Refused("REPLAY_UNSUPPORTED", f"{target} is no identity of the contracts", pointer="/target")
    if target not in subscribers(contracts):
        if target in contracts.streams[REPLAY_STREAM].consumers:
            raise Refused("REPLAY_UNSUPPORTED", f"{target} is a worker, not a subscriber", pointer="/target")
        missing = f"consumes {REPLAY_STREAM}/{target}" if identity.follows else "follows events"
        raise Refused("REPLAY_RIGHT_MISSING", f"{target} has no right to: nothing says that it {missing}")
    if request.source != "events":
        raise Refused("REPLAY_RIGHT_MISSING", f"{target} may follow events, and no {request.source}", pointer="/source")
    if "*" not in identity.follows:
        beyond = sorted(set(types_of(contracts, request.match) or contracts.types) - set(identity.follows))
        if beyond:
            raise Refused(
                "REPLAY_RIGHT_MISSING",
                f"{target} does not follow {', '.join(beyond)}; plan only --type {' --type '.join(identity.follows)}",
                pointer="/match/types",
            )
    if request.side_effects:
        raise Refused("REPLAY_UNSUPPORTED", f"only {target} knows what it does with them", pointer="/side_effects")
    return f"send each event to {target} on replay.{target}.<its subject>, until {target} has acknowledged it"


def refuse_beyond(contracts: Contracts, target: str, filters: Iterable[str]) -> None:
    """Raises Refused REPLAY_RIGHT_MISSING when the subjects are more than a subscriber follows. Plans are kept for
    long, and rights may have been taken since."""
    follows = contracts.identities[target].follows if target in subscribers(contracts) else ()
    if "*" not in follows and (beyond := sorted({_type_of(filter) for filter in filters} - set(follows))):
        raise Refused("REPLAY_RIGHT_MISSING", f"{target} does not follow {', '.join(beyond)} any more; plan again")


def _type_of(filter: str) -> str:
    return ".".join(filter.split(".")[NAMES["evt"][1] :]) or "all types"


def refuse_many_filters(filters: dict[str, tuple[str, ...]]) -> None:
    """Raises Refused REPLAY_FILTER_INVALID."""
    if (most := max(map(len, filters.values()))) > MOST_FILTERS:
        raise Refused("REPLAY_FILTER_INVALID", f"{most} combinations; at most {MOST_FILTERS} go to a subscriber")
