"""The trainer on a real index: what it reads, and that the same history gives the same sample."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from elasticsearch import Elasticsearch

from penstock.contracts import load
from penstock.elasticsearch import names
from penstock.elasticsearch.client import connect
from penstock.elasticsearch.templates import templates
from penstock.errors import Refused, Unavailable
from penstock.events import Checker, record, timestamps
from penstock.scoring.package import verify
from penstock.services.trainer.__main__ import build, parse_arguments
from penstock.services.trainer.history import read_history
from penstock.stack.place import Place
from tests.support.processes import Processes
from tests.support.scoring_models import usual

LINES, SAMPLES = 3_000, 1_000
TYPES = ["log.line.v1", "metric.sample.v1", "user.interaction.v1"]
NOW = 1_790_000_000_000_000_000


def data_of(type: str, number: int) -> dict[str, Any]:
    return {"message": usual(number)} if type == "log.line.v1" else {"name": "cpu", "value": float(number % 10)}


def bulk() -> Iterator[Any]:
    """The stored records of the events, as the indexer writes them."""
    checker = Checker(load())
    for type, count in (("log.line.v1", LINES), ("metric.sample.v1", SAMPLES)):
        for number in range(count):
            value: dict[str, Any] = {
                "specversion": "1.0",
                "id": str(number),
                "source": "/app",
                "type": type,
                "subject": "host-1",
            }
            value |= {"time": timestamps.text(NOW - number * 1_000_000_000), "data": data_of(type, number)}
            event = checker.at_ingress(orjson.dumps(value), publisher="web_shop", door="http", now_ns=NOW)
            event.stream, event.sequence, event.stored_at_ns = "EVENTS_HTTP", 1_000 + number, NOW
            alias = names.events_alias(event.type.dataset, event.time_ms)
            yield orjson.dumps({"index": {"_index": alias, "_id": event.key}})
            yield record(event)


@pytest.fixture(scope="module")
def index(elasticsearch: Processes) -> Iterator[Elasticsearch]:
    """A node with two types of events indexed, and none of a third."""
    with connect(elasticsearch.place) as client:
        for kind, bodies in templates(load()).items():
            for name, body in bodies.items():
                client.perform_request(
                    "PUT",
                    f"/_{kind}_template/{name}",
                    body=body,
                    headers={"content-type": "application/json", "accept": "application/json"},
                )
        aliases = {orjson.loads(line)["index"]["_index"] for line in list(bulk())[::2]}
        for alias in aliases:
            client.options(ignore_status=400).indices.create(
                index=names.first_index(alias), aliases={alias: {}, names.read_alias(alias): {}}
            )
        answer = client.bulk(operations=list(bulk()), refresh=True)
        assert not answer["errors"]
        yield client


def test_all_of_the_history_is_read_once(index: Elasticsearch) -> None:
    history = read_history(index, load(), types=TYPES, limit=50_000, seed=1)
    assert history.counts["log.line.v1"] >= LINES
    assert history.counts["user.interaction.v1"] == 0
    assert len(history.items) == sum(history.counts.values()) == sum(history.totals.values())
    assert history.sequences["EVENTS_HTTP"][0] <= 1_000
    _, event, _ = next(item for item in history.items if item[0] == "metric.sample.v1" and item[2] == "host-1")
    assert (event["source"], event["data"]["name"]) == ("/app", "cpu")


def test_a_sample_is_fair_and_the_same_again(index: Elasticsearch) -> None:
    first, again = (read_history(index, load(), types=TYPES[:2], limit=1_000, seed=1) for _ in range(2))
    other = read_history(index, load(), types=TYPES[:2], limit=1_000, seed=2)
    assert first.digest == again.digest != other.digest
    for count in first.counts.values():
        assert count == pytest.approx(500, abs=120)


def test_a_model_says_what_it_was_trained_on(index: Elasticsearch) -> None:
    history = read_history(index, load(), types=TYPES, limit=2_000, seed=1)
    package = verify(build(history, parse_arguments(["--limit", "2000", "--seed", "1"]), load()))
    manifest = package.manifest
    assert manifest["rows"] == len(history.items)
    assert manifest["data_sha256"] == history.digest
    assert manifest["sequences"]["EVENTS_HTTP"] == list(history.sequences["EVENTS_HTTP"])
    assert set(manifest["types"]) == {"log.line.v1", "metric.sample.v1"}
    assert manifest["schema"] == package.schema


def test_no_history_is_an_error_with_a_next_step(index: Elasticsearch) -> None:
    with pytest.raises(Refused, match="HISTORY_TOO_SHORT"):
        read_history(index, load(), types=["user.interaction.v1"], limit=1_000, seed=1)


def test_a_store_that_is_away_is_named() -> None:
    with (
        connect(Place(elasticsearch_url="http://127.0.0.1:9")) as client,
        pytest.raises(Unavailable, match="STORE_UNAVAILABLE"),
    ):
        read_history(client, load(), types=TYPES, limit=10, seed=1)
