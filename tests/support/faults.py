"""seed → a sequence of faults: processes killed and paused, connections cut, refused, slowed and held up, a busy store.

Every fault ends after a while and what it broke is started again. The same seed gives the same sequence;
when exactly each fault begins depends on the machine.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections import defaultdict
from collections.abc import Callable, Coroutine
from typing import Any

from penstock.stack import fleet, process
from tests.support.faulty_link import Line, closed
from tests.support.full_stack import SERVICES, FullStack

SERVERS = ("nats", "elasticsearch", "cassandra")
Fault = Callable[[], Coroutine[Any, Any, None]]


class Faults:
    """The faults of one stack whose services reach their servers through proxies."""

    def __init__(self, stack: FullStack, seed: int) -> None:
        self.stack = stack
        self._rng = random.Random(seed)
        self._lines: dict[str, Line] = {}
        self._deck: list[str] = []
        self._killing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.started = 0
        self.kills = 0  # of processes that were alive

    # -- lines between services and servers

    async def open(self) -> Faults:
        """Starts the services anew, each with lines of its own to its servers."""
        await self._restart_with(await self._places())
        return self

    async def close(self) -> None:
        """Starts the services anew without lines."""
        for line in self._lines.values():
            line.heal()
        await self._restart_with({})
        await closed(list(self._lines.values()))

    async def _places(self) -> dict[str, Any]:
        stack = self.stack
        wanted = {name: {"nats_url": "nats"} for name in SERVICES}
        wanted["indexer_0"]["elasticsearch_url"] = "elasticsearch"
        wanted["writer_0"]["cassandra_port"] = "cassandra"
        form = {"nats_url": "nats://127.0.0.1:{}", "elasticsearch_url": "http://127.0.0.1:{}"}
        found = {}
        for service, needs in wanted.items():
            update: dict[str, Any] = {}
            for setting, server in needs.items():
                line = await Line(
                    f"{service}→{server}", stack.place.local_port(server), random.Random(self._rng.random())
                ).open()
                self._lines[line.name] = line
                update[setting] = form[setting].format(line.port) if setting in form else line.port
            found[service] = stack.place.model_copy(update=update)
        return found

    async def _restart_with(self, places: dict[str, Any]) -> None:
        await asyncio.gather(*(asyncio.to_thread(process.stop, self.stack.place, name) for name in SERVICES))
        self.stack.settings_of = places
        await self.stack.again(*SERVICES)

    # -- the sequence

    def next(self) -> tuple[str, Fault]:
        """The next fault and what it is called. Each kind comes (kills, twice) before any comes again."""
        kinds: dict[str, Callable[[], tuple[str, Fault]]] = {
            "kill a service": lambda: self._kill(self._rng.choice(SERVICES), 1.0, 3.0),
            "kill a worker": lambda: self._kill(self._rng.choice(SERVICES[1:4]), 0.5, 2.0),
            "kill nats": lambda: self._kill("nats", 0.5, 3.0),
            "kill a store": lambda: self._kill(self._rng.choice(SERVERS[1:]), 1.0, 6.0),
            "pause a service": lambda: self._pause(self._rng.choice(SERVICES), 1.0, 6.0),
            "pause a server": lambda: self._pause(self._rng.choice(SERVERS), 1.0, 12.0),
            "cut": self._cut,
            "refuse": lambda: self._line("refuse", Line.refuse, 1.0, 5.0),
            "slow": self._slow,
            "hold up": lambda: self._line("hold up", Line.hold_up, 2.0, 12.0),
            "busy": lambda: self._line("busy", Line.be_busy, 3.0, 8.0, to="elasticsearch"),
        }
        if not self._deck:
            self._deck = sorted([*kinds, *(kind for kind in kinds if kind.startswith("kill"))])
            self._rng.shuffle(self._deck)
        self.started += 1
        return kinds[self._deck.pop()]()

    def events_before(self) -> int:
        """How many events must be accepted before the next fault."""
        return self._rng.randrange(10, 300)

    def two_at_once(self) -> bool:
        """Whether the next two faults come together."""
        return self._rng.random() < 0.5

    def _kill(self, name: str, least: float, most: float) -> tuple[str, Fault]:
        down = self._rng.uniform(least, most)

        async def fault() -> None:
            async with self._killing[name]:  # two faults at once may have chosen the same process
                if process.alive(self.stack.place, name):
                    await asyncio.to_thread(self.stack.kill, name)
                    self.kills += 1
                await asyncio.sleep(down)
                if name in SERVERS:
                    await self.stack.again(name)
                else:
                    await asyncio.to_thread(self._start, name)

        return f"kill {name} for {down:.1f} s", fault

    def _start(self, name: str) -> None:
        """Without waiting until it is ready: what it needs may be down, too."""
        place = self.stack.settings_of.get(name, self.stack.place)
        [child] = [child for child in fleet.children(place) if child.name == name]
        process.start(place, child)

    def _pause(self, name: str, least: float, most: float) -> tuple[str, Fault]:
        paused = self._rng.uniform(least, most)

        async def fault() -> None:
            if self.stack.try_signal(name, signal.SIGSTOP):  # another fault may be killing it
                await asyncio.sleep(paused)
                self.stack.try_signal(name, signal.SIGCONT)

        return f"pause {name} for {paused:.1f} s", fault

    def _some_line(self, to: str) -> Line:
        return self._rng.choice([line for name, line in sorted(self._lines.items()) if to in name])

    def _cut(self) -> tuple[str, Fault]:
        line, times = self._some_line("→"), self._rng.randrange(1, 5)

        async def fault() -> None:
            for _ in range(times):
                line.cut()
                await asyncio.sleep(0.5)

        return f"cut {line.name} {times} times", fault

    def _slow(self) -> tuple[str, Fault]:
        delay = self._rng.uniform(0.02, 0.3)
        return self._line(f"delay by {delay * 1000:.0f} ms", lambda line: setattr(line, "delay", delay), 3.0, 8.0)

    def _line(
        self, what: str, break_: Callable[[Line], None], least: float, most: float, to: str = "→"
    ) -> tuple[str, Fault]:
        line, lasts = self._some_line(to), self._rng.uniform(least, most)

        async def fault() -> None:
            break_(line)
            await asyncio.sleep(lasts)
            line.heal()

        return f"{what} {line.name} for {lasts:.1f} s", fault
