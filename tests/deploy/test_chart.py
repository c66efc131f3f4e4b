"""The chart by itself: it lints, renders for several clusters into valid objects, and refuses bad values."""

from __future__ import annotations

import json
from typing import Any

import helm_python
import jsonschema
import pytest
import yaml

from penstock.contracts import load
from penstock.provisioning.nats_server import LAME_DUCK, in_container
from tests.support import chart, keda, kubernetes_schemas

OF_KEDA = "keda.sh/v1alpha1"


@pytest.mark.parametrize("name", chart.CASES)
def test_the_chart_lints_strictly(name: str) -> None:
    report = helm_python.lint(chart.CHART, chart.values(chart.CASES[name]), strict=True)
    assert (report["errors"], [each for each in report["messages"] if each["severity"] > 1]) == ([], [])


@pytest.mark.parametrize("version", [kubernetes_schemas.OLDEST, kubernetes_schemas.NEWEST])
def test_every_object_is_valid_in_the_oldest_and_the_newest_kubernetes(version: str) -> None:
    objects = {json.dumps(each, sort_keys=True): each for name in chart.CASES for each in chart.case(name)}
    checked = [each for each in objects.values() if each["apiVersion"] != OF_KEDA]
    found = {f"{each['kind']} {each['metadata']['name']}": kubernetes_schemas.faults(each, version) for each in checked}
    assert {name: faults for name, faults in found.items() if faults} == {}
    wrong = json.loads(json.dumps(next(chart.of_kind(checked, "Deployment"))))
    wrong["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    assert "readinesProbe" in str(kubernetes_schemas.faults(wrong, version))


def test_the_oldest_version_is_the_one_that_the_chart_claims() -> None:
    with helm_python.Chart.load(chart.CHART) as loaded:
        assert loaded.metadata["kubeVersion"] == f">={kubernetes_schemas.OLDEST}.0-0"


@pytest.mark.parametrize("name", chart.CASES)
def test_numbers_are_written_out(name: str) -> None:
    assert "e+0" not in json.dumps(chart.case(name))


def test_each_object_has_a_name_of_its_own_in_a_release_of_any_name() -> None:
    for release in ("penstock", "events", "a" * 53):
        objects = chart.render({}, name=release)
        names = [(each["kind"], each["metadata"]["name"]) for each in objects]
        assert len(set(names)) == len(names)
        assert all(len(name) <= 63 for _, name in names)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "NATS without TLS": ({"nats": {"url": "nats://nats:4222"}}, "/nats/url"),
    "one of several without TLS": ({"nats": {"url": "tls://a:4222,nats://b:4222"}}, "/nats/url"),
    "Elasticsearch without TLS": ({"elasticsearch": {"url": "http://es:9200"}}, "/elasticsearch/url"),
    "Cassandra without an authority": ({"cassandra": {"ca": {"secret": ""}}}, "/cassandra/ca/secret"),
    "no NATS": ({"nats": {"url": ""}}, "/nats/url"),
    "no password": ({"cassandra": {"writer": {"secret": ""}}}, "/cassandra/writer/secret"),
    "a misspelt value": ({"ingres": {}}, "ingres"),
    "a misspelt member": ({"services": {"indexer": {"replica": 3}}}, "replica"),
    "text for a number": ({"services": {"indexer": {"replicas": "3"}}}, "/services/indexer/replicas"),
    "two replicas of a stream": ({"nats": {"replicas": 2}}, "/nats/replicas"),
    "a secret in the values": ({"cassandra": {"writer": {"password": "x"}}}, "password"),
    "an unknown need": ({"services": {"indexer": {"needs": ["everything"]}}}, "/services/indexer/needs"),
    "a digest that is none": ({"image": {"digests": {"indexer": "latest"}}}, "/image/digests/indexer"),
    "keys of the cluster in the clear": ({"tokens": {"keysUrl": "http://keys"}}, "/tokens/keysUrl"),
    "a short life of tokens": ({"tokens": {"seconds": 60}}, "/tokens/seconds"),
    "more scorers than shards": ({"services": {"scorer": {"autoscaling": {"max": 9}}}}, "8 shards"),
    "lag of nobody's consumer": ({"services": {"operator": {"autoscaling": {"by": "lag", "lag": 1}}}}, "no consumer"),
    "traces to nowhere": ({"traces": {"enabled": True}}, "traces.endpoint"),
    "KEDA without an address": ({"nats": {"monitoring": {"endpoint": ""}}}, "nats.monitoring.endpoint"),
    "a grace shorter than the drain": ({"services": {"edge": {"grace": 60}}}, "grace"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_values_are_refused_by_name(name: str) -> None:
    changes, said = REFUSED[name]
    with pytest.raises(helm_python.HelmError, match=said):
        chart.render(changes)


def test_a_further_worker_is_a_further_entry() -> None:
    worker = {
        "needs": ["token", "elasticsearch"],
        "replicas": 2,
        "grace": 30,
        "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}},
        "autoscaling": {"by": "cpu", "min": 1, "max": 2, "cpu": 70},
    }
    objects = chart.render({"services": {"archiver": worker}})
    kinds = {each["kind"] for each in objects if chart.component(each) == "archiver"}
    assert kinds == {"Deployment", "ServiceAccount", "HorizontalPodAutoscaler", "NetworkPolicy"}
    [template] = [each for name, each in chart.pod_templates(objects).items() if name == "archiver"]
    assert "PENSTOCK_ELASTICSEARCH_URL" in chart.environment(template)


def test_the_examples_are_valid_and_their_values_render() -> None:
    examples = chart.CHART.parent / "examples"
    nats = [*yaml.safe_load_all((examples / "nats.yaml").read_text(encoding="utf-8"))]
    for version in (kubernetes_schemas.OLDEST, kubernetes_schemas.NEWEST):
        assert [kubernetes_schemas.faults(each, version) for each in nats] == [[]] * len(nats)
    for name in ("elasticsearch", "cassandra"):  # of their operators
        assert yaml.safe_load((examples / f"{name}.yaml").read_text(encoding="utf-8"))["metadata"]["namespace"]
    objects = chart.render(yaml.safe_load((examples / "values.yaml").read_text(encoding="utf-8")))
    [server] = chart.of_kind(nats, "StatefulSet")
    [claim] = server["spec"]["volumeClaimTemplates"]
    held = sum(each.max_bytes for each in load().streams.values())
    held += sum(each.max_bytes for each in load().buckets.values())
    assert int(claim["spec"]["resources"]["requests"]["storage"].removesuffix("Gi")) << 30 > held * 9 // 8
    [policy] = chart.of_kind(nats, "NetworkPolicy")
    assert policy["spec"]["podSelector"]["matchLabels"] == server["spec"]["template"]["metadata"]["labels"]
    [container] = server["spec"]["template"]["spec"]["containers"]
    opened = {port["port"]: rule["from"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
    assert opened.keys() == {port["name"] for port in container["ports"]}
    assert chart.NAMESPACE in str(opened["clients"])
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert in_container("nats-0", ("nats-0", "nats-1", "nats-2"), "").routes_tls in mounts
    lame_duck = sum(float(each.removesuffix("s")) for each in LAME_DUCK.values())
    assert server["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= lame_duck + 10
    headless = next(each for each in nats if each["spec"].get("clusterIP") == "None")
    [scaler, *_] = chart.of_kind(objects, "ScaledObject")
    port = next(each["port"] for each in headless["spec"]["ports"] if each["name"] == "monitoring")
    endpoint = f"{headless['metadata']['name']}.{headless['metadata']['namespace']}.svc:{port}"
    assert scaler["spec"]["triggers"][0]["metadata"]["natsServerMonitoringEndpoint"] == endpoint


def closed(schema: Any) -> Any:
    """The schema with no members beside those that it names, as a strict API server takes it."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(each) for name, each in schema.items()}
    return {"additionalProperties": False, **found} if isinstance(found.get("properties"), dict) else found


@pytest.mark.skipif(
    not keda.DEFINITION.exists(), reason=f"{keda.DEFINITION} is not there: tests/deploy/fetch_keda_definition.sh"
)
def test_scalers_are_valid_by_keda_s_own_definition() -> None:
    definition = yaml.safe_load(keda.DEFINITION.read_text(encoding="utf-8"))
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"] = closed(schema["properties"]["spec"])
    validator = jsonschema.Draft202012Validator(schema)
    for name in ("default", "large numbers", "everything"):
        for scaler in chart.of_kind(chart.case(name), "ScaledObject"):
            assert [each.message for each in validator.iter_errors(scaler)] == []
    scaler = json.loads(json.dumps(scaler))
    scaler["spec"]["triggers"][0]["metadata"]["lagThreshold"] = 1000
    scaler["spec"]["maxReplicaCounts"] = 3
    assert len([*validator.iter_errors(scaler)]) == 2
