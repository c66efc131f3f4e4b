"""Who may connect to whom, as the chart's network policies and scalers say, against contracts/."""

from __future__ import annotations

from typing import Any

from penstock.contracts import load
from tests.support import chart

DNS, NATS, SEARCH, CASSANDRA, INGRESS, EDGE = 53, 4222, 9200, 9042, 8080, 8443


def ports(rules: list[dict[str, Any]]) -> set[int]:
    return {port["port"] for rule in rules for port in rule["ports"]}


def policies(name: str) -> dict[str, dict[str, Any]]:
    return {chart.component(each): each["spec"] for each in chart.of_kind(chart.case(name), "NetworkPolicy")}


def test_every_pod_has_a_policy_for_both_directions() -> None:
    found = policies("default")
    assert found.keys() == chart.pod_templates(chart.case("default")).keys()
    assert all(each["policyTypes"] == ["Ingress", "Egress"] for each in found.values())
    assert policies("minimal") == {}


def test_processes_connect_to_the_broker_and_their_store_and_to_nothing_else() -> None:
    out = {part: ports(each["egress"]) - {DNS} for part, each in policies("default").items()}
    assert out == {
        "edge": {INGRESS},
        "ingress": {NATS},
        "authority": {NATS, 443, 6443},  # the API server, for the keys of its tokens
        "operator": {NATS},
        "auditor": {NATS},
        "indexer": {NATS, SEARCH},
        "writer": {NATS, CASSANDRA},
        "scorer": {NATS},
        "trainer": {NATS, SEARCH},
        "provision": {NATS},
        "migrate": {CASSANDRA},
        "test": {INGRESS, EDGE},
    }
    assert {part for part in out if part in load().identities} == {part for part in out if NATS in out[part]}


def test_of_the_fleet_only_the_edge_is_connected_to_and_the_ingress_by_the_edge() -> None:
    found = policies("default")
    peers = [rule.get("from") for rule in found["ingress"]["ingress"]]
    [[edge, test]] = peers
    callers = [each["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for each in (edge, test)]
    assert callers == ["edge", "test"]
    assert ports(found["edge"]["ingress"]) == {EDGE, 7407}
    jobs = {"trainer", "provision", "migrate", "test"}
    assert {part for part, each in found.items() if not each["ingress"]} == jobs
    others = found.keys() - jobs - {"edge", "ingress"}
    assert {part: ports(found[part]["ingress"]) for part in others} == {part: {8080} for part in others}  # /metrics


def test_peers_narrow_each_port_and_other_urls_other_ports() -> None:
    found = policies("everything")
    [rule] = [each for each in found["indexer"]["egress"] if ports([each]) == {NATS}]
    assert rule["to"] == chart.CASES["everything"]["networkPolicies"]["nats"]
    assert 443 in ports(found["edge"]["egress"])  # the keys of the issuers
    assert all(4319 in ports(each["egress"]) for each in found.values())  # the collector of traces
    plain = policies("plaintext")
    assert {4223, 9200} <= ports(plain["indexer"]["egress"])


def test_the_test_of_a_release_reaches_an_edge_whose_clients_are_named() -> None:
    [rule] = [each for each in policies("everything")["edge"]["ingress"] if ports([each]) == {EDGE}]
    pod = chart.pod_templates(chart.case("everything"))["test"]["metadata"]["labels"]
    *clients, test = rule["from"]
    assert clients == chart.CASES["everything"]["networkPolicies"]["clients"]
    assert test["podSelector"]["matchLabels"].items() <= pod.items()


def test_public_keys_of_the_cluster_are_at_an_issuer_and_not_at_the_api_server() -> None:
    peers = {"apiServer": [{"ipBlock": {"cidr": "10.0.0.1/32"}}], "issuers": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}
    for url, port in (("https://oidc.test/keys", 443), ("https://oidc.test:8443/keys", 8443)):
        tokens = {"keysOfApiServer": False, "keysUrl": url}
        objects = chart.render({"tokens": tokens, "networkPolicies": peers})
        [authority] = [each for each in chart.of_kind(objects, "NetworkPolicy") if chart.component(each) == "authority"]
        rules = authority["spec"]["egress"]
        assert ports(rules) == {DNS, NATS, port}
        [rule] = [each for each in rules if ports([each]) == {port}]
        assert rule["to"] == peers["issuers"]


def test_each_scaler_asks_for_the_consumers_that_the_contracts_give_the_worker() -> None:
    contracts = load()
    for scaler in chart.of_kind(chart.case("default"), "ScaledObject"):
        part = chart.component(scaler)
        consumed = {
            (stream, member)
            for stream, _, consumer in (entry.partition("/") for entry in contracts.identities[part].consumes)
            if not contracts.streams[stream].consumers[consumer].replay and stream != "REPLAY"
            for member in contracts.streams[stream].members(consumer)
        }
        asked = [each["metadata"] for each in scaler["spec"]["triggers"]]
        assert {(each["stream"], each["consumer"]) for each in asked} == consumed
        assert {each["account"] for each in asked} == {"CORE"}
        assert all(isinstance(value, str) for each in asked for value in each.values())
    kinds = {chart.component(each) for each in chart.of_kind(chart.case("default"), "ScaledObject")}
    assert kinds == {"indexer", "writer", "scorer"}
    assert [*chart.of_kind(chart.case("without KEDA"), "ScaledObject")] == []
    plain = {chart.component(each) for each in chart.of_kind(chart.case("without KEDA"), "HorizontalPodAutoscaler")}
    assert plain == kinds | {"ingress"}


def test_a_disruption_takes_one_pod_where_there_are_two() -> None:
    for name in ("default", "highly available"):
        found = {chart.component(each): each["spec"] for each in chart.of_kind(chart.case(name), "PodDisruptionBudget")}
        assert found.keys() == set(chart.SERVICES)
        assert {each["maxUnavailable"] for each in found.values()} == {1}
    assert [*chart.of_kind(chart.case("minimal"), "PodDisruptionBudget")] == []
