"""A whole stack that may be broken: servers, fleet and a trained model; and the count of what became of its events."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httpx

from penstock.auth import api_keys
from penstock.broker import Broker, StoredMessage
from penstock.contracts import load
from penstock.errors import PenstockError
from penstock.stack import fleet, process, up
from penstock.stack.ledger import ledger
from penstock.stack.place import CHECKOUT, Place
from tests.support.processes import Processes
from tests.support.senders import Senders
from tests.support.until import until

PUBLISHERS = ("web_shop", "app_store", "till")
WORKERS = ("indexer", "writer", "scorer")
SERVICES = ("operator_0", "indexer_0", "writer_0", "scorer_0", "ingress_0")
EVENTS = ("EVENTS_HTTP", "EVENTS_NATS")
FIRST_EVENTS = 600  # to train the model on
SETTLED = 240.0  # seconds
SHOWN = 20  # keys in the message of a failure
LOG_SHOWN = 8_000  # characters of the log of a process that does not become ready


class FullStack(Processes):
    """`accepted` holds the key of every event that was ever accepted here: the stores must have those and no others."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.accepted: set[str] = set()
        self.settings_of: dict[str, Place] = {}  # of services whose settings are not those of the others
        self.letters = 0  # dead letters that tests have caused on purpose
        self.keys: dict[str, str] = {}
        self.operator: Broker  # may look at every stream and consumer
        self._began = time.monotonic()

    async def open(self) -> FullStack:
        """Starts everything, and trains a model on the first events, which count like all others."""
        await asyncio.to_thread(up.up, self.place)
        self.operator = await Broker.connect(self.place.nats, "operator", self.place.credentials_folder)
        self.make_keys()
        async with self.senders(gap=0.05) as senders:
            await senders.more(FIRST_EVENTS)
        await self.settled("indexer")
        await self._train()
        await self.ready(*SERVICES)
        return self

    def make_keys(self) -> None:
        """An HTTP key for each publisher."""
        for publisher in PUBLISHERS:
            self.keys[publisher], _ = api_keys.create(
                self.place.keys,
                load(),
                identity=publisher,
                datasets=["*"],
                types=["*"],
                roles=["sender", "reader"],
                now_ns=time.time_ns(),
            )

    async def close(self) -> None:
        """Stops everything, at once, and deletes it."""
        await self.operator.drain(1.0)
        for record in process.all_recorded(self.place):
            await asyncio.to_thread(process.kill, record)
        await asyncio.to_thread(up.clean, self.place)

    async def _train(self) -> None:
        trainer = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "penstock.services.trainer", "--activate", "--reason", "faults"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=CHECKOUT,
            env={**os.environ, **self.place.environment()},
        )
        said, _ = await asyncio.wait_for(trainer.communicate(), 120)
        assert trainer.returncode == 0, said.decode(errors="replace")

    # -- load, and faults

    def senders(self, **options: Any) -> _Noted:
        """Publishers, as Senders says; what they get accepted is entered here."""
        return _Noted(self, **options)

    def note(self, what: str) -> None:
        """A line of the log that pytest shows of a failed test."""
        print(f"{time.monotonic() - self._began:7.2f} s  {what}")

    async def down(self, name: str) -> None:
        """SIGKILL."""
        self.note(f"kill {name}")
        await asyncio.to_thread(self.kill, name)

    async def again(self, *names: str) -> None:
        """Starts what was killed, side by side, and waits until it is ready."""
        await asyncio.gather(*(asyncio.to_thread(self.restart, name) for name in names))
        self.note(f"{', '.join(names)} ready again")

    def restart(self, name: str) -> None:
        """As Processes does, with the service's own settings."""
        if name in self.settings_of:
            up.start_service(self.settings_of[name], name)
        else:
            super().restart(name)

    def try_signal(self, name: str, number: signal.Signals) -> process.Record | None:
        """As Processes does, and notes it."""
        self.note(f"{number.name} to {name}")
        return super().try_signal(name, number)

    # -- what it says of itself

    def port(self, name: str) -> int:
        """The HTTP port of a service, like `indexer_0`."""
        service, _, instance = name.rpartition("_")
        return self.place.local_port(service, int(instance))

    async def reasons(self, name: str) -> list[str]:
        """Why the service is not ready."""
        return await asyncio.to_thread(fleet.reasons, self.port(name))

    async def ready(self, *names: str, bound: float = 90.0) -> None:
        """Waits until the services are ready; who is not says why, with the end of its log."""
        for name in names:
            try:
                await until(partial(_when_reachable, partial(self._is_ready, name)), bound, f"{name} ready")
            except AssertionError:
                self.note(f"{name} is not ready: {process.alive(self.place, name)}, {await self.reasons(name)}")
                self.note(self.place.log(name).read_text()[-LOG_SHOWN:])
                raise

    async def _is_ready(self, name: str) -> bool:
        return not await self.reasons(name)

    async def unready(self, name: str, because: str, bound: float = 60.0) -> None:
        """Waits until the service says that it is not ready, with this word among its reasons."""

        async def says() -> bool:
            return because in " ".join(await self.reasons(name))

        await until(partial(_when_reachable, says), bound, f"{name} not ready because of {because!r}")

    async def post(self, publisher: str, body: bytes, kind: str = "cloudevents+json") -> httpx.Response:
        """One request of a publisher."""
        headers = {"authorization": f"Bearer {self.keys[publisher]}", "content-type": f"application/{kind}"}
        async with httpx.AsyncClient(timeout=20.0) as client:
            url = f"http://127.0.0.1:{self.port('ingress_0')}/v1/events"
            return await client.post(url, content=body, headers=headers)

    # -- what became of the events

    async def in_hand(self, worker: str, bound: float = 60.0) -> None:
        """Waits until the worker holds messages that are not settled, so that a kill now really takes some from it."""

        async def some() -> bool:
            infos = await self.consumers(worker, *EVENTS)
            return any(info["num_ack_pending"] for info in infos)

        await until(partial(_when_reachable, some), bound, f"{worker} has messages in hand")

    async def consumers(self, worker: str, *streams: str) -> list[dict[str, Any]]:
        """The state of each consumer of a worker, as the server has it."""
        known = load().streams
        names = [
            (stream, name)
            for stream in streams or known
            if worker in known[stream].consumers
            for name in known[stream].members(worker)
        ]
        return [await self.operator.jetstream.api(f"CONSUMER.INFO.{stream}.{name}") for stream, name in names]

    async def settled(self, *workers: str, bound: float = SETTLED) -> None:
        """Waits until the workers (default: all) have settled all there is; events first, since scores come of them."""

        waiting = ""

        async def all_settled() -> bool:
            nonlocal waiting
            for streams in (EVENTS, ("SCORES",)):
                for worker in workers or WORKERS:
                    for info in await self.consumers(worker, *streams):
                        if info["num_pending"] or info["num_ack_pending"]:
                            waiting = (
                                f"{info['stream_name']}/{info['name']}: {info['num_pending']} to deliver, "
                                f"{info['num_ack_pending']} delivered and not settled"
                            )
                            return False
            return True

        try:
            await until(partial(_when_reachable, all_settled), bound, "everything settled")
        except AssertionError as error:
            raise AssertionError(f"{error}; {waiting}") from None

    async def redeliveries(self, worker: str) -> int:
        """Deliveries so far beyond the first of each message; to be asked when all is settled."""
        infos = await self.consumers(worker)
        deliveries = sum(int(info["delivered"]["consumer_seq"]) for info in infos)
        streams = {info["stream_name"] for info in infos}
        return deliveries - sum([(await self.operator.jetstream.stream_info(name)).messages for name in streams])

    async def dead_letters(self) -> list[StoredMessage]:
        """All of them."""
        found: list[StoredMessage] = []
        sequence = 1
        while page := await self.operator.jetstream.get_many("DLQ", sequence=sequence):
            found += page
            sequence = page[-1].sequence + 1
        return found

    async def assert_complete(self) -> int:
        """Waits until everything is settled; then each store must have each accepted event once, and nothing else.

        Returns how many that are.
        """
        self.note(f"{len(self.accepted)} events are accepted")
        await self.settled()
        self.note("everything is settled")
        letters = await self.dead_letters()
        codes = Counter(letter.headers.get("x-penstock-code") for letter in letters[self.letters :])
        assert not codes, f"dead-lettered: {dict(codes)}"
        counts, totals, missing = await asyncio.to_thread(self._counted)
        self.note(f"counted {counts}")
        right = dict.fromkeys(counts, len(self.accepted))
        assert counts == right, f"accepted {len(self.accepted)}, stored {counts}\n{_shown(missing)}"
        assert totals == right, f"accepted {len(self.accepted)}, and in all there are {totals}: more than was accepted"
        return len(self.accepted)

    def _counted(self) -> tuple[dict[str, int], dict[str, int], dict[str, list[str]]]:
        with ledger(self.place) as book:
            counts = book.counts(self.accepted)
            wrong = any(count != len(self.accepted) for count in counts.values())
            missing = {stage: book.missing(stage, self.accepted) for stage in counts} if wrong else {}
            return counts, book.totals(), missing


class _Noted(Senders):
    """Senders whose accepted events the full_stack counts; those of a test that failed, too."""

    def __init__(self, full_stack: FullStack, **options: Any) -> None:
        super().__init__(full_stack.place, full_stack.keys, **options)
        self._site = full_stack

    async def __aexit__(self, *error: Any) -> None:
        try:
            await super().__aexit__(*error)
        finally:
            self._site.accepted |= self.accepted


def _shown(missing: dict[str, list[str]]) -> str:
    """Which keys are missing where, grouped by the stores that lack them."""
    lacks: dict[str, list[str]] = defaultdict(list)
    for stage, names in missing.items():
        for name in names:
            lacks[name].append(stage)
    groups: dict[str, list[str]] = defaultdict(list)
    for name, stages in lacks.items():
        groups[", ".join(stages)].append(name)
    return "\n".join(
        f"not {stages}: {len(names)} events, such as {', '.join(names[:SHOWN])}" for stages, names in groups.items()
    )


async def _when_reachable(condition: Callable[[], Awaitable[bool]]) -> bool:
    """Whether the condition holds; a broker that is away is asked again later."""
    try:
        return await condition()
    except PenstockError as error:
        if not error.retriable:
            raise
        return False
