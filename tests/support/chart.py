"""The chart, rendered: values for several clusters, and the objects that come of them."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import yaml

CHART = Path(__file__).parents[2] / "helm" / "penstock"
NAMESPACE = "events"
RELEASE = "penstock"

# What has no default: where things are, and the names of Secrets.
REQUIRED: dict[str, Any] = {
    "nats": {"url": "tls://nats.nats.svc:4222", "monitoring": {"endpoint": "nats-headless.nats.svc:8222"}},
    "elasticsearch": {
        "url": "https://events-es-http.elastic.svc:9200",
        "ca": {"secret": "events-es-http-certs-public"},
        "apiKeys": {"indexer": {"secret": "penstock-elasticsearch"}, "trainer": {"secret": "penstock-trainer"}},
    },
    "cassandra": {
        "hosts": "cassandra-dc1-service.cassandra.svc",
        "ca": {"secret": "cassandra-ca"},
        "writer": {"secret": "penstock-cassandra"},
        "admin": {"secret": "penstock-cassandra-admin"},
    },
}
SERVICES = ("edge", "ingress", "authority", "operator", "auditor", "indexer", "writer", "scorer")
_PEERS = ("nats", "elasticsearch", "cassandra", "apiServer", "monitoring", "clients", "dns", "traces")
_PEER = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "nats"}}}]


def _each(**members: Any) -> dict[str, Any]:
    return {name: deepcopy(members) for name in SERVICES}


CASES: dict[str, dict[str, Any]] = {
    "default": {},
    "highly available": {"services": _each(replicas=3, autoscaling={"by": "none"}), "nats": {"replicas": 5}},
    "minimal": {
        "services": _each(replicas=1, autoscaling={"by": "none"}),
        **{name: {"enabled": False} for name in ("trainer", "provision", "migrate", "keda", "networkPolicies")},
    },
    "without KEDA": {"keda": {"enabled": False}},
    "large numbers": {
        "services": {"indexer": {"autoscaling": {"lag": 2_000_000}}, "edge": {"drain": 1_000_000, "grace": 2_000_000}},
        "trainer": {"limit": 3_000_000},
    },
    "plaintext": {
        "allowPlaintext": True,
        "nats": {"url": "nats://one:4223,nats://two:4223"},
        "elasticsearch": {"url": "http://search", "ca": {"secret": ""}, "apiKeys": {"indexer": {"secret": ""}}},
        "cassandra": {"ca": {"secret": ""}},
    },
    "everything": {
        "image": {
            "registry": "registry.test/events/",
            "digests": {"indexer": "sha256:" + 64 * "a"},
            "pullSecrets": ["p"],
        },
        "env": {"PENSTOCK_CHECK_SECONDS": "30"},
        "contracts": {"configMap": "our-contracts", "items": [{"key": "streams", "path": "streams.yaml"}]},
        "issuers": [
            {
                "issuer": "https://id.test",
                "audience": "penstock",
                "jwks_url": "https://id.test/jwks",
                "gives": ["groups"],
            }
        ],
        "nats": {"ca": {"secret": "nats-ca"}},
        "cassandra": {"serverName": "cassandra.test"},
        "traces": {"enabled": True, "endpoint": "http://collector.observe.svc:4319", "ratio": 0.001},
        "secrets": {"apiKeys": "penstock-api-keys"},
        "networkPolicies": dict.fromkeys(_PEERS, _PEER),
        "edgeService": {"type": "LoadBalancer", "annotations": {"a": "b"}, "externalTrafficPolicy": "Local"},
        "podAnnotations": {"a": "b"},
        "podLabels": {"team": "events"},
        "nodeSelector": {"pool": "events"},
        "tolerations": [{"key": "events", "operator": "Exists"}],
        "priorityClassName": "events",
        "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "more"}}],
    },
}


def values(changes: dict[str, Any]) -> dict[str, Any]:
    """The required values with changes, members of members too."""
    return _merged(REQUIRED, changes)


def _merged(into: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    found = deepcopy(into)
    for name, value in changes.items():
        both = isinstance(value, dict) and isinstance(found.get(name), dict)
        found[name] = _merged(found[name], value) if both else deepcopy(value)
    return found


def render(changes: dict[str, Any], name: str = RELEASE) -> list[dict[str, Any]]:
    """The objects, hooks included. Raises HelmError for values that the chart refuses."""
    with helm_python.Chart.load(CHART) as chart:
        texts = chart.render(values(changes), name=name, namespace=NAMESPACE)
    manifests = [text for path, text in texts.items() if path.endswith(".yaml")]
    return [each for text in manifests for each in yaml.safe_load_all(text) if each]


@cache
def case(name: str) -> list[dict[str, Any]]:
    """The objects of a case, rendered once; not to be changed."""
    return render(CASES[name])


def of_kind(objects: list[dict[str, Any]], *kinds: str) -> Iterator[dict[str, Any]]:
    """The objects of these kinds."""
    return (each for each in objects if each["kind"] in kinds)


def component(body: dict[str, Any]) -> str:
    """Which part of the fleet an object is for."""
    return str(body["metadata"]["labels"]["app.kubernetes.io/component"])


def pod_templates(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The template of each workload's pods, by component."""
    found = {component(each): each["spec"]["template"] for each in of_kind(objects, "Deployment", "Job")}
    for each in of_kind(objects, "CronJob"):
        found[component(each)] = each["spec"]["jobTemplate"]["spec"]["template"]
    return found


def environment(template: dict[str, Any]) -> dict[str, str]:
    """The variables of a pod's first container."""
    return {each["name"]: each["value"] for each in template["spec"]["containers"][0]["env"]}
