"""The pods of the chart against the code: variables, routes, stops, rights; and each other: names and selectors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.contracts import load
from penstock.local_ports import OFFSETS
from penstock.runtime import worker
from penstock.runtime.health import Health
from penstock.services.ingress import __main__ as ingress
from penstock.services.ingress.http import health as ingress_health
from penstock.settings import Settings
from tests.support import chart, service_settings
from tests.support.service_settings import ROOT

# The cluster gives tokens to pods; the issuer of the local stack is not deployed.
ELSEWHERE = {"issuer"}
EXTERNAL_CONFIG_MAPS = {"kube-root-ca.crt", "our-contracts"}
DOCUMENTED_SECRETS = re.compile(r"penstock-\w[\w-]*|events-es-http-certs-public|cassandra-ca|nats-ca")
HTTP_SECONDS = 3  # of worker.py's way out beside STOP_SECONDS: close, drain and the HTTP server take about as long each


def containers(template: dict[str, Any]) -> list[dict[str, Any]]:
    return list(template["spec"]["containers"])


@pytest.mark.parametrize("name", chart.CASES)
def test_each_variable_is_a_setting_of_its_service(name: str) -> None:
    unknown = {}
    for part, template in chart.pod_templates(chart.case(name)).items():
        service = {"migrate": "writer"}.get(part, part)
        known = (
            frozenset(service_settings.classes())
            if service in ("provision", "test")
            else service_settings.used(service)
        )
        given = {variable for variable in chart.environment(template) if variable.startswith("PENSTOCK_")}
        unknown[part] = given - service_settings.variables(known)
    assert {part: names for part, names in unknown.items() if names} == {}


def test_every_service_has_a_workload_and_what_its_code_uses() -> None:
    objects = chart.case("default")
    templates = chart.pod_templates(objects)
    assert service_settings.services() - ELSEWHERE - templates.keys() == set(), "no entry in values.yaml, `services`"
    identities = load().identities
    for name in service_settings.services() - ELSEWHERE:
        given, used = chart.environment(templates[name]), service_settings.used(name)
        uses = {
            "PENSTOCK_ELASTICSEARCH_URL": "ElasticsearchSettings" in used and name != "edge",  # there for readers, off
            "PENSTOCK_CASSANDRA_HOSTS": "WriterSettings" in used,
            "PENSTOCK_TOKEN_FILE": bool(name in identities and identities[name].by_token),
            "PENSTOCK_NATS_URL": name in identities,
        }
        assert {variable: variable in given for variable in uses} == uses, name
    serving = {name for name, each in identities.items() if each.serves}
    assert serving <= {chart.component(each) for each in chart.of_kind(objects, "Deployment")}


def test_service_accounts_are_the_clients_of_their_identities() -> None:
    for name, template in chart.pod_templates(chart.case("default")).items():
        identity = load().identities.get(name)
        spec = template["spec"]
        if identity is not None and identity.clients:
            assert spec["serviceAccountName"] == identity.clients[0]
        assert spec["automountServiceAccountToken"] is False
    made = {each["metadata"]["name"] for each in chart.of_kind(chart.case("default"), "ServiceAccount")}
    used = {each["spec"]["serviceAccountName"] for each in chart.pod_templates(chart.case("default")).values()}
    assert used - made == {"default"}  # of the hooks, which run before there is any account; it has no token there


def test_only_who_must_connect_before_there_are_tokens_has_a_stored_secret_for_the_broker() -> None:
    seeds = {
        part: [path for path in _files(template) if path.endswith(".nk")]
        for part, template in chart.pod_templates(chart.case("everything")).items()
    }
    by_nkey = {name for name, each in load().identities.items() if not each.by_token}
    public = {path for path in _files(chart.pod_templates(chart.case("default"))["auditor"]) if path.endswith(".pub")}
    assert public == {f"{name}.pub" for name in by_nkey} | {"auditor.seal.pub"}
    assert {part: paths for part, paths in seeds.items() if paths} == {
        "authority": ["authority.nk", "authority.issuer.nk", "authority.xkey.nk"],
        "provision": ["provision.nk"],
    }


def test_probes_ask_for_routes_that_the_service_has() -> None:
    worker_routes = {route.path for route in Health("", 1, list, list)._server.config.app.routes}  # type: ignore[union-attr]
    routes = {route.path for route in ingress_health.router(None, list, list).routes}  # type: ignore[arg-type, attr-defined]
    edge = set(re.findall(r"path (/\w+)", (ROOT / "services/edge/templates/edge.cfg").read_text()))
    for part, template in chart.pod_templates(chart.case("default")).items():
        [container, *_] = containers(template)
        if "readinessProbe" not in container:
            continue
        known = {"edge": edge, "ingress": routes}.get(part, worker_routes)
        probes = [container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")]
        assert [probe["path"] for probe in probes] == ["/livez", "/livez", "/readyz"]
        assert {probe["path"] for probe in probes} <= known
        assert {probe["port"] for probe in probes} == {"http"}
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        port = int(chart.environment(template)["PENSTOCK_PORT"])
        stats = Settings.model_fields["port_base"].default + OFFSETS["edge_stats"]
        assert ports == ({"http": stats, "https": port} if part == "edge" else {"http": port})


def test_a_pod_has_longer_to_end_than_its_process_takes() -> None:
    stop = {"ingress": float(ingress.STOP_SECONDS)}
    for part, template in chart.pod_templates(chart.case("default")).items():
        [container, *_] = containers(template)
        if "readinessProbe" not in container:
            continue
        before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        drain = chart.environment(template).get("PENSTOCK_EDGE_DRAIN")
        seconds = float(drain) if drain else stop.get(part, worker.STOP_SECONDS + 2.0)
        assert template["spec"]["terminationGracePeriodSeconds"] >= before + seconds + 3 * HTTP_SECONDS, part


@pytest.mark.parametrize("name", chart.CASES)
def test_every_pod_is_what_pod_security_restricted_admits(name: str) -> None:
    for part, template in chart.pod_templates(chart.case(name)).items():
        spec, security = template["spec"], template["spec"]["securityContext"]
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & spec.keys(), part
        assert (security["runAsNonRoot"], security["runAsUser"]) == (True, 10001), part
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, part
        volumes = {kind for volume in spec["volumes"] for kind in volume if kind != "name"}
        assert volumes <= {"configMap", "emptyDir", "projected"}, part
        for container in containers(template):
            own = container["securityContext"]
            assert own == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, part
            assert all("hostPort" not in port for port in container.get("ports", ())), part
            assert container["resources"]["limits"]["memory"], part
            words = [*container.get("command", []), *container.get("args", [])]
            assert not {"sh", "bash", "/bin/sh"} & set(words), part


def _files(template: dict[str, Any]) -> Iterator[str]:
    """The files in /run/secrets/penstock."""
    for volume in template["spec"]["volumes"]:
        for source in volume.get("projected", {}).get("sources", ()):
            [[kind, found]] = source.items()
            yield from [found["path"]] if kind == "serviceAccountToken" else [each["path"] for each in found["items"]]


@pytest.mark.parametrize("name", chart.CASES)
def test_each_file_that_a_variable_names_is_mounted(name: str) -> None:
    for part, template in chart.pod_templates(chart.case(name)).items():
        there = {f"/run/secrets/penstock/{path}" for path in _files(template)} | {"/run/secrets/penstock"}
        for container in containers(template):
            mounts = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
            assert set(mounts.values()) == {each["name"] for each in template["spec"]["volumes"]}, part
            for variable in container["env"]:
                if variable["value"].startswith("/run/secrets/"):
                    assert variable["value"] in there, f"{part}: {variable['name']}"
                elif variable["value"].startswith("/"):
                    assert variable["value"] in mounts, f"{part}: {variable['name']}"


@pytest.mark.parametrize("name", chart.CASES)
def test_what_an_object_names_is_in_the_render_or_documented(name: str) -> None:
    objects = chart.case(name)
    there = {(each["kind"], each["metadata"]["name"]): each for each in objects}
    keys = {found[1]: set(each.get("data", {})) for found, each in there.items() if found[0] == "ConfigMap"}
    for part, template in chart.pod_templates(objects).items():
        for volume in template["spec"]["volumes"]:
            named = [volume["configMap"]] if "configMap" in volume else []
            for source in volume.get("projected", {}).get("sources", ()):
                named += [source["configMap"]] if "configMap" in source else []
                if "secret" in source:
                    assert DOCUMENTED_SECRETS.fullmatch(source["secret"]["name"]), part
            for each in named:
                if each["name"] not in EXTERNAL_CONFIG_MAPS:
                    assert {item["key"] for item in each["items"]} <= keys[each["name"]], part
    for scaler in chart.of_kind(objects, "ScaledObject", "HorizontalPodAutoscaler"):
        target = there["Deployment", scaler["spec"]["scaleTargetRef"]["name"]]
        assert "replicas" not in target["spec"]
    fixed = {chart.component(each) for each in chart.of_kind(objects, "Deployment") if "replicas" in each["spec"]}
    scaled = {chart.component(each) for each in chart.of_kind(objects, "ScaledObject", "HorizontalPodAutoscaler")}
    assert fixed | scaled == set(chart.SERVICES)
    assert not fixed & scaled


@pytest.mark.parametrize("name", chart.CASES)
def test_each_selector_matches_the_pods_of_one_workload(name: str) -> None:
    objects = chart.case(name)
    labels = {part: each["metadata"]["labels"] for part, each in chart.pod_templates(objects).items()}

    def matched(selector: dict[str, str]) -> list[str]:
        return [part for part, found in labels.items() if selector.items() <= found.items()]

    off = [part for part in ("provision", "migrate", "trainer") if part not in labels]
    for each in chart.of_kind(objects, "Deployment", "PodDisruptionBudget"):
        assert matched(each["spec"]["selector"]["matchLabels"]) == [chart.component(each)]
    for each in chart.of_kind(objects, "NetworkPolicy"):
        assert chart.component(each) in off or matched(each["spec"]["podSelector"]["matchLabels"]) == [
            chart.component(each)
        ]
    for each in chart.of_kind(objects, "Service"):
        [part] = matched(each["spec"]["selector"])
        [container, *_] = containers(chart.pod_templates(objects)[part])
        assert {port["targetPort"] for port in each["spec"]["ports"]} <= {port["name"] for port in container["ports"]}


def test_each_image_is_a_target_of_the_dockerfile_that_starts_its_service() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    targets = {part.partition("\n")[0]: part for part in re.split(r"^FROM service AS ", text, flags=re.MULTILINE)[1:]}
    for part, template in chart.pod_templates(chart.case("default")).items():
        for container in containers(template):
            name = re.fullmatch(r"penstock-(\w+):[\d.]+", container["image"])[1]  # type: ignore[index]
            if "command" not in container and "args" not in container:
                assert f'CMD ["python3", "-m", "penstock.services.{part}"]' in targets[name]
            assert "args" not in container or 'ENTRYPOINT ["penstock"]' in targets[name]
            assert name in targets
            assert "USER 10001:10001" in targets[name]
    assert "STOPSIGNAL SIGUSR1" in targets["edge"]  # Kubernetes stops a container with its image's signal


def test_commands_are_those_that_exist() -> None:
    for part, template in chart.pod_templates(chart.case("default")).items():
        for container in containers(template):
            match container.get("command", []):
                case ["python3", "-m", str(module), *_]:
                    path = Path(module.removeprefix("penstock.").replace(".", "/"))
                    assert (ROOT / path.with_suffix(".py")).exists() or (ROOT / path / "__main__.py").exists(), part
                case ["python3", "-c", str(text), *_]:
                    compile(text, part, "exec")
                case words:
                    assert words == [], part


def test_an_authority_of_nats_is_for_nats_alone() -> None:
    for part, template in chart.pod_templates(chart.case("everything")).items():  # with issuers, too
        given = chart.environment(template)
        assert not {"SSL_CERT_FILE", "SSL_CERT_DIR"} & given.keys(), part
        assert ("PENSTOCK_NATS_CA_FILE" in given) == ("PENSTOCK_NATS_URL" in given), part
