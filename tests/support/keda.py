"""What KEDA 2.21 asks NATS for the lag of a consumer (pkg/scalers/nats_jetstream_scaler.go), step by step."""

from __future__ import annotations

from typing import Any

import httpx

from penstock.stack.place import Place

# Of ScaledObject, from KEDA's Go module; tests/deploy/fetch_keda_definition.sh puts it there.
DEFINITION = Place().cache / "keda-2.21.0.yaml"


async def lag(http: httpx.AsyncClient, endpoint: str, account: str, stream: str, consumer: str) -> int:
    """Messages not acknowledged, as the leader of the consumer knows them. Raises LookupError where it is not found."""
    first = await _jetstream(http, endpoint, account)
    if first.get("meta_cluster", {}).get("cluster_size", 0) <= 1:
        return waiting(_consumer(first, account, stream, consumer))
    port = endpoint.rpartition(":")[2]
    for url in (await http.get(f"http://{endpoint}/varz")).json()["connect_urls"]:
        node = f"{url.partition(':')[0]}:{port}"
        name = (await http.get(f"http://{node}/varz")).json()["server_name"]
        found = _consumer(await _jetstream(http, node, account), account, stream, consumer)
        if found["cluster"]["leader"] == name:
            return waiting(found)
    raise LookupError(f"no server leads {consumer}")


def waiting(found: dict[str, Any]) -> int:
    """KEDA's figure: behind the consumer, and delivered without an acknowledgement yet."""
    return int(found["num_pending"]) + int(found["num_ack_pending"])


async def _jetstream(http: httpx.AsyncClient, endpoint: str, account: str) -> dict[str, Any]:
    parameters = {"acc": account, "consumers": "true", "config": "true"}
    body: dict[str, Any] = (await http.get(f"http://{endpoint}/jsz", params=parameters)).json()
    return body


def _consumer(body: dict[str, Any], account: str, stream: str, consumer: str) -> dict[str, Any]:
    for each in body.get("account_details", ()):
        for found in each.get("stream_detail", ()) if each["name"] == account else ():
            for one in found.get("consumer_detail", ()) if found["name"] == stream else ():
                if one["name"] == consumer:
                    return dict(one)
    raise LookupError(f"{account} has no consumer {consumer} of {stream}")
