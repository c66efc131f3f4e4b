"""EVENTS_HTTP, EVENTS_NATS, SCORES → indexer → Elasticsearch;  svc.search.* → Elasticsearch → reply"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

import structlog

from penstock.broker import Broker, Keys
from penstock.consume import LaneOptions, Limits
from penstock.contracts import load
from penstock.elasticsearch.client import connect_async
from penstock.elasticsearch.settings import ElasticsearchSettings
from penstock.errors import PenstockError
from penstock.events import Checker
from penstock.replay.run import BUCKET
from penstock.rpc.client import ask
from penstock.rpc.messages import Embedding, LoadedModels
from penstock.rpc.server import Operation, serve
from penstock.runtime import Parts, Source, Watch, main
from penstock.scoring.score import read_score
from penstock.services.indexer.bulk import Bulker
from penstock.services.indexer.epochs import follow_epochs, read_epochs
from penstock.services.indexer.generations import Generations
from penstock.services.indexer.held import HeldIndexed
from penstock.services.indexer.index_check import IndexCheck
from penstock.services.indexer.indices import Indices
from penstock.services.indexer.ledger import Ledger
from penstock.services.indexer.logic import Indexer
from penstock.services.indexer.mappings import LiveMappings
from penstock.services.indexer.rebuilds import MirroredBulker, Rebuilds
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
_TEMPLATES_EVERY = 2.0  # seconds


async def build(broker: Broker, settings: ElasticsearchSettings) -> Parts:
    """The indexer's parts. Raises PenstockError when the streams are not provisioned."""
    contracts = load()
    checker = Checker(contracts)
    epochs = await read_epochs(broker, contracts)
    client = connect_async(settings)
    ledger = Ledger(broker)
    indices = Indices(client, contracts, ledger)
    bulker = Bulker(client, indices)
    rebuilds, generations = Rebuilds(broker), Generations(client, indices, Keys(broker, BUCKET))
    of_indices = {
        **generations.operations,
        "mappings": LiveMappings(client, contracts).mappings,
        "count": HeldIndexed(client).count,
    }
    indexer = Indexer(MirroredBulker(bulker, rebuilds), epochs)
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
                replayed=partial(indexer.replayed_as_scores, decode_score),
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
        sinks=(bulker.retry,),
        watches=(Watch("indices", IndexCheck(client, indices, ledger).check, settings.check_seconds),),
        background=(
            elastic.watch,
            lambda stop: _prepare(indices, stop),
            lambda stop: follow_epochs(epochs, broker, stop),
            rebuilds.follow,
            lambda stop: _answer_operator(broker, of_indices, stop),
        ),
        on_stop=(bulker.stop,),
        close=client.close,
        push_backs=lambda: bulker.limit.push_backs,
    )


async def _answer_operator(broker: Broker, operations: Mapping[str, Operation], stop: asyncio.Event) -> None:
    """A service of its own: what it serves is for the operator alone."""
    responder = await serve(broker, "index", operations, concurrency=2)
    await stop.wait()
    await responder.stop(0.3)


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
