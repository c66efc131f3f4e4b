"""EVENTS_HTTP, EVENTS_NATS, SCORES → indexer → Elasticsearch;  svc.search.* → Elasticsearch → reply"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from elastic_transport import AsyncTransport
from elastic_transport.client_utils import DEFAULT
from elasticsearch import AsyncElasticsearch, OrjsonSerializer

from penstock import secret_file
from penstock.broker import Broker
from penstock.consume import LaneOptions, Limits
from penstock.contracts import Contracts, load
from penstock.elasticsearch_settings import ElasticsearchSettings
from penstock.errors import PenstockError
from penstock.events import Checker
from penstock.rpc.client import ask
from penstock.rpc.messages import Embedding, LoadedModels
from penstock.runtime import Parts, Replayed, Source, main
from penstock.scoring.score import read_score
from penstock.services.indexer.bulk import Bulker
from penstock.services.indexer.indices import Indices
from penstock.services.indexer.logic import Indexer
from penstock.services.indexer.search.elastic import Elastic
from penstock.services.indexer.search.models import ActiveModels
from penstock.services.indexer.search.operations import Operations
from penstock.stopping import set_within

_log = structlog.get_logger(__name__)
NAME = "indexer"
_OPTIONS = LaneOptions(
    # Small bulks are what costs, in this process and in Elasticsearch: wait a little for more.
    batch=2000,
    in_flight=3,
    linger=0.1,
    linger_most=0.3,
    # Each byte held is held several times over on its way; with large events these bounds count, not the numbers above.
    limits=Limits(messages=8000, bytes=8 * 1024 * 1024, batch_bytes=2 * 1024 * 1024),
)
_CONNECTIONS = 20
_EPOCHS_EVERY, _TEMPLATES_EVERY = 30.0, 2.0  # seconds


class Json(OrjsonSerializer):
    """orjson for what Elasticsearch 9 calls its JSON."""

    mimetype = "application/vnd.elasticsearch+json"


def keyed(file: Path) -> type[AsyncTransport]:
    """A transport that puts the API key of the file on each request, so that another one needs no restart.

    Raises Refused CREDENTIALS_INVALID when there is none in it.
    """
    key = secret_file.Followed(file)

    class Transport(AsyncTransport):
        async def perform_request(self, method: str, target: str, **options: Any) -> Any:  # type: ignore[override]
            headers = {**(options.pop("headers", None) or {}), "authorization": f"ApiKey {key.value()}"}
            return await super().perform_request(method, target, headers=headers, **options)

    return Transport


def connect(settings: ElasticsearchSettings) -> AsyncElasticsearch:
    """A client that never retries by itself: the bulker's policy is the only one."""
    key = settings.elasticsearch_api_key_file
    return AsyncElasticsearch(
        settings.elasticsearch.split(","),
        transport_class=keyed(key) if key else AsyncTransport,
        ca_certs=str(settings.elasticsearch_ca_file) if settings.elasticsearch_ca_file else DEFAULT,
        serializers={Json.mimetype: Json()},
        connections_per_node=_CONNECTIONS,
        max_retries=0,
        retry_on_status=(),
        retry_on_timeout=False,
        # One node is the usual case behind one URL: a failed request must not put it out of use for a minute.
        dead_node_backoff_factor=0,
        max_dead_node_backoff=0,
    )


async def build(broker: Broker, settings: ElasticsearchSettings) -> Parts:
    """The indexer's parts. Raises PenstockError when the streams are not provisioned."""
    contracts = load()
    checker = Checker(contracts)
    epochs = await _epochs(broker, contracts)
    client = connect(settings)
    indices = Indices(client, contracts)
    bulker = Bulker(client, indices)
    indexer = Indexer(bulker, epochs)
    decode_score = partial(read_score, contracts=contracts)
    source = partial(Source, consumer=NAME, options=_OPTIONS)
    elastic = Elastic(client)
    await elastic.look()
    operations = Operations(
        contracts, elastic, ActiveModels(elastic, partial(_models, broker)), partial(_embed, broker)
    )

    return Parts(
        sources=(
            *(
                source(
                    stream=stream,
                    decode=checker.delivered,
                    handle=indexer.events,
                    replayed=partial(indexer.replayed, checker.delivered),
                )
                for stream in epochs
            ),
            source(
                stream="SCORES",
                decode=decode_score,
                handle=indexer.scores,
                replayed=lambda: Replayed(decode_score, indexer.replayed_scores),
            ),
        ),
        service="search",
        operations={
            "query": operations.query,
            "similar": operations.similar,
            "anomalies": operations.anomalies,
            "count": operations.count,
        },
        unready_reason=lambda: f"Elasticsearch: {elastic.unready_reason}" if elastic.unready_reason else "",
        background=(
            elastic.watch,
            lambda stop: _prepare(indices, stop),
            lambda stop: _keep(epochs, broker, stop),
        ),
        on_stop=(bulker.stop,),
        close=client.close,
        push_backs=lambda: bulker.limit.push_backs,
    )


async def _epochs(broker: Broker, contracts: Contracts) -> dict[str, int]:
    """The epoch of each stream of events."""
    streams = [name for name, stream in contracts.streams.items() if stream.door is not None]
    return {name: (await broker.jetstream.stream_info(name)).epoch for name in streams}


async def _keep(epochs: dict[str, int], broker: Broker, stop: asyncio.Event) -> None:
    """A stream that was made anew has a higher epoch. One not seen yet does no harm: it only makes a version lower."""
    while not await set_within(stop, _EPOCHS_EVERY):
        for stream in epochs:
            try:
                epochs[stream] = (await broker.jetstream.stream_info(stream)).epoch
            except PenstockError as error:
                _log.warning("stream_info_failed", stream=stream, reason=error.detail)


async def _prepare(indices: Indices, stop: asyncio.Event) -> None:
    """Templates as early as possible; the first index to be made would put them too."""
    while not indices.prepared:
        try:
            await indices.prepare()
        except PenstockError as error:
            _log.warning("template_put_failed", reason=error.detail)
            if await set_within(stop, _TEMPLATES_EVERY):
                return
    await stop.wait()


async def _embed(broker: Broker, text: str, event_type: str) -> Embedding:
    request = {"text": text, "type": event_type}
    return Embedding.model_validate(await ask(broker, "score", "embed", request, timeout=5.0))


async def _models(broker: Broker) -> LoadedModels:
    return LoadedModels.model_validate(await ask(broker, "score", "models", {}, timeout=2.0))


if __name__ == "__main__":
    main(NAME, build, ElasticsearchSettings())
