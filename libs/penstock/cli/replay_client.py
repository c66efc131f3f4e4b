"""The command line's connection to svc.operator.*, and what its options mean on the wire."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any

from penstock.auth.connect import connect_as
from penstock.broker import Broker
from penstock.cli.console import print_line
from penstock.contracts import load
from penstock.errors import NoResponder, Refused, Unavailable
from penstock.rpc.client import ask
from penstock.rpc.messages import ReplayPlan
from penstock.settings import load_settings

IDENTITY = "replayer"
SUBSCRIBER = "subscriber:"  # how a target begins that is no worker
REACH_SECONDS = 5.0
LEADER_SECONDS = 4.0  # another operator leads within 3.5 s after one was killed
LEADER_PAUSE = 0.1
AGAIN_SECONDS = 10.0  # for which a watch retries when no operator responds
_UNITS = {"s": "PT{}S", "m": "PT{}M", "h": "PT{}H", "d": "P{}D"}
_SINCE = re.compile(r"(\d+)([smhd])\Z")
_RANGE = re.compile(r"([A-Z][A-Z0-9_]*):(\d+)-(\d*)\Z")


class Operator:
    """`async with Operator() as operator:` a connection as the command line's identity."""

    async def __aenter__(self) -> Operator:
        self._broker: Broker = await connect_as(IDENTITY, load_settings(), patience=REACH_SECONDS)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._broker.drain()

    async def ask(self, operation: str, body: dict[str, Any], *, service: str = "operator") -> dict[str, Any]:
        """One request, for as long as the contract gives it. While no operator serves it, as is the case for a few
        seconds after a leader was killed, it is sent again."""
        timeout = load().services[service].operations[operation].timeout.total_seconds()
        until, noted = time.monotonic() + LEADER_SECONDS, False
        while True:
            try:
                return await ask(self._broker, service, operation, body, timeout=timeout)
            except NoResponder:
                if time.monotonic() >= until:
                    raise
            if not noted:
                print_line(f"no operator serves {service} now; waiting for one", style="dim", stderr=True)
                noted = True
            await asyncio.sleep(LEADER_PAUSE)

    async def plan(self, body: dict[str, Any], counted: Callable[[ReplayPlan], None]) -> ReplayPlan:
        """The plan, however many requests it takes to count the store to its end; `counted` after each but the last."""
        found = ReplayPlan.model_validate(await self.ask("plan", body))
        while not found.exact and found.count:
            counted(found)
            found = ReplayPlan.model_validate(await self.ask_again("plan", {**body, "count": found.count}))
        return found

    async def ask_again(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        """The same, until an operator answers: one may be killed while somebody watches."""
        deadline = asyncio.get_running_loop().time() + AGAIN_SECONDS
        while True:
            try:
                return await self.ask(operation, body)
            except Unavailable:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(0.5)


def ask_once(service: str, operation: str, body: dict[str, Any]) -> dict[str, Any]:
    """One request on a connection of its own; not for use inside an event loop."""

    async def asking() -> dict[str, Any]:
        async with Operator() as operator:
            return await operator.ask(operation, body, service=service)

    return asyncio.run(asking())


def target_of(text: str) -> dict[str, str]:
    """`indexer` is a worker; `subscriber:alerting` the identity of a subscriber, to which events are delivered."""
    if text.startswith(SUBSCRIBER):
        return {"target": text.removeprefix(SUBSCRIBER), "effect": "deliver"}
    return {"target": text}


def named_target(target: str, effect: str) -> str:
    """The other way round."""
    return SUBSCRIBER + target if effect == "deliver" else target


def since_of(text: str) -> str:
    """`2h` → `-PT2H`. Raises Refused REPLAY_BOUNDS_INVALID."""
    found = _SINCE.match(text)
    if found is None:
        raise Refused("REPLAY_BOUNDS_INVALID", f"{text!r} is not a number of s, m, h or d, like 90m or 7d")
    return "-" + _UNITS[found[2]].format(found[1])


def sequences_of(texts: list[str]) -> list[dict[str, Any]]:
    """`EVENTS_HTTP:100-200`, or `EVENTS_HTTP:100-` up to the end. Raises Refused REPLAY_BOUNDS_INVALID."""
    ranges = []
    for text in texts:
        found = _RANGE.match(text)
        if found is None:
            raise Refused("REPLAY_BOUNDS_INVALID", f"{text!r} is not STREAM:FIRST-LAST, like EVENTS_HTTP:100-200")
        part: dict[str, Any] = {"stream": found[1], "first": int(found[2])}
        ranges.append(part | ({"last": int(found[3])} if found[3] else {}))
    return ranges
