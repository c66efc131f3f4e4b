"""settings → a client of Elasticsearch: `connect_async` for workers, `connect` for programs that run once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from elastic_transport import AsyncTransport
from elastic_transport.client_utils import DEFAULT
from elasticsearch import AsyncElasticsearch, Elasticsearch, OrjsonSerializer

from penstock import secret_file
from penstock.elasticsearch.settings import ElasticsearchSettings

_CONNECTIONS = 20


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


def connect_async(settings: ElasticsearchSettings) -> AsyncElasticsearch:
    """A client that never retries by itself: the bulker's policy is the only one."""
    key = settings.elasticsearch_api_key_file
    return AsyncElasticsearch(
        _nodes(settings),
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


def connect(settings: ElasticsearchSettings) -> Elasticsearch:
    """A client that tries again by itself, for programs that read once and end."""
    options: dict[str, Any] = {"request_timeout": 30.0, "retry_on_timeout": True, "max_retries": 3}
    if settings.elasticsearch_api_key_file is not None:
        options["api_key"] = settings.elasticsearch_api_key_file.read_text().strip()
    if settings.elasticsearch_ca_file is not None:
        options["ca_certs"] = str(settings.elasticsearch_ca_file)
    return Elasticsearch(_nodes(settings), **options)


def _nodes(settings: ElasticsearchSettings) -> list[str]:
    return [url.strip() for url in settings.elasticsearch.split(",")]
