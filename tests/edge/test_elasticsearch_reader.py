"""Readers of Elasticsearch: with their credential they search and read at the edge, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from elastic_transport import SerializationError, TlsError
from elasticsearch import Elasticsearch

from penstock.elasticsearch.client import connect, connect_async
from penstock.provisioning import certificate
from penstock.stack.place import Place
from tests.support.edge import Edge, Upstream
from tests.support.place_factory import PlaceFactory
from tests.support.processes import Processes

INDEX = "events-logs-read"


@pytest.fixture(scope="module")
def place(place_factory: PlaceFactory, elasticsearch: Processes, haproxy: None) -> Place:
    made = place_factory.make("edge-reader")
    return made.model_copy(update={"elasticsearch_url": elasticsearch.place.elasticsearch}, deep=True)


@pytest.fixture(scope="module")
async def edge(place: Place) -> AsyncIterator[Edge]:
    place.model_fields_set.add("elasticsearch_url")
    async with Upstream(place.local_port("ingress")):
        edge = await Edge(place).start()
        yield edge
        await edge.close()


@pytest.fixture(scope="module")
def owner(elasticsearch: Processes) -> Iterator[Elasticsearch]:
    """Elasticsearch's own port, which is open to everybody on this machine."""
    with Elasticsearch(elasticsearch.place.elasticsearch) as client:
        for number in range(3):
            client.index(index=INDEX, id=str(number), document={"n": number}, refresh=True)
        client.index(index="private", id="1", document={"n": 9}, refresh=True)
        yield client
        client.indices.delete(index=[INDEX, "private"])


@pytest.fixture(scope="module")
def provisioned(edge: Edge, place: Place, owner: Elasticsearch) -> Place:
    """Settings that say where to find an Elasticsearch with TLS and API keys; here it is the edge."""
    return Place(
        state=place.state,
        port_base=place.port_base,
        elasticsearch_url=f"https://127.0.0.1:{place.local_port('elasticsearch_reader')}",
        elasticsearch_api_key_file=place.secrets / "elasticsearch_reader",
        elasticsearch_ca_file=certificate.ensure(place.folder("tls")),
    )


@pytest.fixture(scope="module")
def reader(provisioned: Place) -> Iterator[Elasticsearch]:
    """The trainer's client."""
    with connect(provisioned) as client:
        yield client


@pytest.fixture(scope="module")
def raw(edge: Edge, place: Place, reader: Elasticsearch) -> Iterator[httpx.Client]:
    """The same credential without a client that would know better than to ask."""
    secret = (place.secrets / "elasticsearch_reader").read_text().strip()
    url = f"https://127.0.0.1:{place.local_port('elasticsearch_reader')}"
    with httpx.Client(base_url=url, verify=edge.context, headers={"authorization": f"ApiKey {secret}"}) as client:
        yield client


def test_a_reader_searches_counts_and_pages(reader: Elasticsearch) -> None:
    assert reader.count(index=INDEX)["count"] == 3
    ours = {"term": {"_index": INDEX}}  # other tests' indices are in reach, too
    found = reader.search(index="events-*,scored-*", ignore_unavailable=True, query=ours, size=10)
    assert len(found["hits"]["hits"]) == 3
    assert [doc["found"] for doc in reader.mget(index=INDEX, ids=["0", "7"])["docs"]] == [True, False]
    point = reader.open_point_in_time(index=INDEX, keep_alive="1m")["id"]
    page = reader.search(pit={"id": point, "keep_alive": "1m"}, sort=[{"_shard_doc": "asc"}], size=2)
    assert len(page["hits"]["hits"]) == 2
    assert reader.close_point_in_time(id=page["pit_id"])["succeeded"]


async def test_the_indexer_takes_key_and_authority_by_settings_and_another_key_without_a_restart(
    provisioned: Place, tmp_path: Path
) -> None:
    right = (provisioned.secrets / "elasticsearch_reader").read_text()
    file = tmp_path / "key"
    file.touch(mode=0o600)
    file.write_text(right)
    async with connect_async(provisioned.model_copy(update={"elasticsearch_api_key_file": file})) as client:
        assert (await client.count(index=INDEX))["count"] == 3
        file.write_text("wrong")
        with pytest.raises(SerializationError, match="problem"):  # a refusal of the edge, in words of its own
            await client.count(index=INDEX)
        file.write_text(right)
        assert (await client.count(index=INDEX))["count"] == 3


async def test_a_server_certificate_of_another_authority_is_refused(
    provisioned: Place, tmp_path: Path, place_factory: PlaceFactory
) -> None:
    other = certificate.ensure(place_factory.make("other-authority").folder("tls"))
    async with connect_async(provisioned.model_copy(update={"elasticsearch_ca_file": other})) as client:
        with pytest.raises(TlsError):
            await client.count(index=INDEX)


REFUSED = [
    ("POST", f"/{INDEX}/_doc"),
    ("PUT", f"/{INDEX}/_doc/1"),
    ("GET", f"/{INDEX}/_doc/1"),
    ("DELETE", f"/{INDEX}"),
    ("PUT", "/events-new"),
    ("POST", f"/{INDEX}/_update/1"),
    ("POST", f"/{INDEX}/_update_by_query"),
    ("POST", f"/{INDEX}/_delete_by_query"),
    ("POST", "/_bulk"),
    ("POST", f"/{INDEX}/_bulk"),
    ("POST", "/_reindex"),
    ("POST", "/_aliases"),
    ("POST", "/_mget"),
    ("POST", "/_msearch"),
    ("POST", "/_count"),
    ("POST", "/_sql"),
    ("POST", "/_scripts/x"),
    ("PUT", "/_cluster/settings"),
    ("GET", "/_cat/indices"),
    ("GET", "/_cluster/state"),
    ("GET", "/"),
    ("POST", "/private/_search"),
    ("POST", f"/{INDEX},private/_search"),
    ("POST", f"/private,{INDEX}/_search"),
    ("POST", f"/{INDEX}%2Cprivate/_search"),
    ("POST", "/*/_search"),
    ("POST", "/_all/_search"),
    ("POST", "/events-*,-events-x,private/_search"),
    ("POST", f"/{INDEX}/_search/../_delete_by_query"),
    ("POST", f"/{INDEX}/_delete_by_query/_search"),
    ("POST", f"/{INDEX}/%5Fdelete_by_query"),
    ("POST", f"//{INDEX}/_search"),
    ("PUT", f"/{INDEX}/_search"),
    ("DELETE", f"/{INDEX}/_search"),
    ("DELETE", f"/{INDEX}/_pit"),
    ("POST", "/_pit"),
    ("OPTIONS", "/_search"),
]


@pytest.mark.parametrize(("method", "path"), REFUSED)
def test_a_reader_can_do_nothing_else(raw: httpx.Client, owner: Elasticsearch, method: str, path: str) -> None:
    url = raw.base_url.copy_with(raw_path=path.encode())
    answer = raw.request(method, url, json={"query": {"match_all": {}}})
    assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")
    assert owner.count(index=INDEX)["count"] == 3


def test_a_method_in_a_header_changes_nothing(raw: httpx.Client, owner: Elasticsearch) -> None:
    raw.post(f"/{INDEX}/_pit?keep_alive=1m", headers={"x-http-method-override": "DELETE"})
    raw.post("/_search?_method=DELETE", json={}, headers={"x-http-method": "PUT"})
    assert owner.count(index=INDEX)["count"] == 3


@pytest.mark.parametrize("authorization", [None, "ApiKey x", "Basic dTpw", ""])
def test_without_its_credential_a_reader_is_refused(
    edge: Edge, place: Place, reader: Elasticsearch, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    url = f"https://127.0.0.1:{place.local_port('elasticsearch_reader')}/{INDEX}/_search"
    with httpx.Client(verify=edge.context) as client:
        answer = client.get(url, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED")


def test_the_credential_is_in_no_file_but_its_own(edge: Edge, place: Place, raw: httpx.Client) -> None:
    raw.get(f"/{INDEX}/_count")
    secret = (place.secrets / "elasticsearch_reader").read_text().strip()
    assert secret not in (place.state / "edge" / "haproxy.cfg").read_text()
    assert secret not in place.log("edge").read_text()
    assert (place.secrets / "elasticsearch_reader").stat().st_mode & 0o777 == 0o600
