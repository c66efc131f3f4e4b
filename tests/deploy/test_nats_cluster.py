"""Three NATS servers as the chart meets them: the lag that KEDA reads, and what the probes of helm/examples say."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import nats
import nats.js.errors
import yaml
from nats.js.api import AckPolicy, ConsumerConfig, StreamConfig

from tests.support import chart, keda
from tests.support.nats_cluster import NatsCluster
from tests.support.place_factory import PlaceFactory
from tests.support.until import until

EXAMPLES = chart.CHART.parent / "examples"
STREAM, CONSUMER, SENT, UNACKED = "EVENTS", "indexer", 63, 6


def probes() -> dict[str, str]:
    """The paths of the NATS servers' probes."""
    objects = yaml.safe_load_all((EXAMPLES / "nats.yaml").read_text(encoding="utf-8"))
    [server] = [each for each in objects if each["kind"] == "StatefulSet"]
    [container] = server["spec"]["template"]["spec"]["containers"]
    return {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}


async def fill(cluster: NatsCluster) -> int:
    """A stream and a consumer with three replicas; returns what the consumer itself says is not acknowledged."""
    client = await nats.connect(cluster.clients)
    stream = client.jetstream()

    async def made() -> bool:  # the leader knows its peers a little after they are ready
        try:
            await stream.add_stream(StreamConfig(name=STREAM, subjects=["evt.>"], num_replicas=3))
        except nats.js.errors.APIError:
            return False
        return True

    await until(made)
    await stream.add_consumer(
        STREAM, ConsumerConfig(durable_name=CONSUMER, ack_policy=AckPolicy.EXPLICIT, ack_wait=600)
    )
    for number in range(SENT):
        await stream.publish(f"evt.{number}", b"")
    pulled = await stream.pull_subscribe_bind(CONSUMER, STREAM)
    await pulled.fetch(UNACKED)
    found = await stream.consumer_info(STREAM, CONSUMER)
    await client.close()
    return int(found.num_pending or 0) + int(found.num_ack_pending or 0)


async def said_in_clear(routes: str) -> bytes:
    """What a server answers to another that wants to join its cluster without TLS."""
    host, _, port = routes.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"PING\r\n")
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return answer


async def test_lag_is_the_consumer_s_from_every_server_and_a_survivor_is_live_but_not_ready(
    place_factory: PlaceFactory,
) -> None:
    async with NatsCluster(place_factory.make("kubernetes")) as cluster, httpx.AsyncClient(timeout=5) as http:

        async def status(name: str, probe: str) -> int:
            try:
                return (await http.get(f"http://{cluster.monitoring(name)}{probes()[probe]}")).status_code
            except httpx.HTTPError:
                return 0

        async def all_ready() -> bool:
            return {await status(name, "readiness") for name in cluster.addresses} == {200}

        async def lags() -> list[int]:
            ends = [cluster.monitoring(name) for name in cluster.addresses]
            try:
                return [await keda.lag(http, end, "CORE", STREAM, CONSUMER) for end in ends]
            except LookupError:  # not every server knows a new consumer at once
                return []

        await until(all_ready)
        assert not [name for name in cluster.addresses if b"INFO" in await said_in_clear(cluster.routes(name))]
        assert await fill(cluster) == SENT
        assert await until(lags) == [SENT] * 3

        meta: dict[str, Any] = (await http.get(f"http://{cluster.monitoring('n1')}/jsz")).json()["meta_cluster"]
        survivor, *others = sorted(cluster.addresses, key=lambda name: name == meta["leader"])
        await asyncio.gather(*(cluster.kill(name) for name in others))

        async def lost_its_quorum() -> bool:
            return await status(survivor, "readiness") == 503

        await until(lost_its_quorum)
        assert [await status(survivor, probe) for probe in ("startup", "liveness")] == [200, 200]
