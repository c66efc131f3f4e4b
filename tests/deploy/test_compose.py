"""compose/ as docker compose itself reads it, against the settings, contracts and services: no engine is needed."""

from __future__ import annotations

import json
import os
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydantic_settings import BaseSettings

import compose as compose_wheel
from penstock.elasticsearch.settings import ElasticsearchSettings
from penstock.local_ports import OFFSETS
from penstock.provisioning.deployment import ALSO
from penstock.provisioning.nats_server import LAME_DUCK, in_container
from penstock.runtime.worker import STOP_SECONDS
from penstock.services.auditor.settings import AuditorSettings
from penstock.services.edge.settings import EdgeSettings
from penstock.services.ingress.settings import IngressSettings
from penstock.services.operator.settings import OperatorSettings
from penstock.services.scorer.settings import ScorerSettings
from penstock.services.writer.settings import WriterSettings
from penstock.settings import Settings

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "compose"
BINARY = Path(compose_wheel.__file__).with_name("docker-compose")
COMBINATIONS = {
    "plain": ("compose.yaml",),
    "fleet": ("core.yaml",),
    "own stores": ("core.yaml", "own-stores.yaml"),
    "one machine": ("core.yaml", "stores.yaml"),
    "observed": ("core.yaml", "stores.yaml", "observe.yaml"),
    "cluster": ("core.yaml", "stores.yaml", "cluster.yaml"),
    "all": ("core.yaml", "stores.yaml", "cluster.yaml", "observe.yaml"),
}
# With nkeys nobody asks for tokens.
WITHOUT_CONTAINER = {"issuer", "authority"}
SERVICES = {path.parent.name for path in (ROOT / "services").glob("*/__main__.py")} - WITHOUT_CONTAINER
RUNNING = SERVICES - {"trainer"}
SETTINGS: dict[str, tuple[type[BaseSettings], ...]] = {
    "ingress": (IngressSettings,),
    "indexer": (ElasticsearchSettings,),
    "writer": (WriterSettings,),
    "scorer": (Settings, ScorerSettings),
    "trainer": (ElasticsearchSettings,),
    "operator": (Settings, OperatorSettings),
    "auditor": (AuditorSettings,),
    "edge": (ElasticsearchSettings, EdgeSettings),
}
OF_THE_COMMANDS = {"PENSTOCK_URL", "PENSTOCK_CA_FILE", "PENSTOCK_KEY_FILE"}


@cache
def read(*files: str) -> dict[str, Any]:
    """The configuration with all profiles."""
    command = [
        str(BINARY),
        *(f"--file={FOLDER / file}" for file in files),
        "--profile",
        "*",
        "config",
        "--format",
        "json",
    ]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    found = subprocess.run(command, capture_output=True, text=True, env=clean, timeout=60)
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)  # type: ignore[no-any-return]


@pytest.fixture(params=COMBINATIONS)
def services(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    """The services of each combination."""
    return read(*COMBINATIONS[request.param])["services"]  # type: ignore[no-any-return]


def ours(services: dict[str, Any]) -> dict[str, Any]:
    """Those that run an image of this project."""
    return {name: each for name, each in services.items() if each["image"].startswith("penstock-")}


def test_each_image_has_a_tag_and_each_container_limits(services: dict[str, dict[str, Any]]) -> None:
    for name, each in services.items():
        assert re.search(r":[^:/]*\d[^:/]*$", each["image"]), f"{name}: {each['image']}"
        assert int(each["mem_limit"]) > 0, name
        assert each["cpus"] > 0, name
        assert each["pids_limit"] > 0, name
        assert each["cap_drop"] == ["ALL"], name
        assert each["security_opt"] == ["no-new-privileges:true"], name
        assert each["logging"]["options"]["max-size"], name
        assert not each.get("privileged"), name


def test_our_containers_are_read_only_and_run_as_nobody_in_particular(services: dict[str, dict[str, Any]]) -> None:
    for name, each in ours(services).items():
        assert each["read_only"], name
        assert each["user"] == "10001:10001", name
        assert each["tmpfs"], name
    for name in RUNNING & services.keys():
        each = services[name]
        assert each["restart"] == "unless-stopped", name
        assert seconds(each["stop_grace_period"]) > STOP_SECONDS + 4, name
        assert f":{listens(name)}/readyz" in each["healthcheck"]["test"][-1], name


def test_every_service_has_its_container_with_its_image(services: dict[str, dict[str, Any]]) -> None:
    missing = SERVICES - services.keys()
    assert not missing, f"not in compose/core.yaml: {sorted(missing)}"
    for name in SERVICES:
        assert services[name]["image"].startswith(f"penstock-{name}:"), name
        assert services[name]["build"]["target"] == name


def test_every_variable_is_a_setting_of_the_process_that_gets_it(services: dict[str, dict[str, Any]]) -> None:
    for name, each in ours(services).items():
        known = variables(*SETTINGS.get(name, (WriterSettings,))) | (OF_THE_COMMANDS if name not in SERVICES else set())
        given = {variable for variable in each.get("environment", {}) if variable.startswith("PENSTOCK_")}
        assert given <= known, f"{name}: {sorted(given - known)}"


def test_a_port_that_is_published_is_one_that_is_listened_on_and_only_on_this_machine(
    services: dict[str, dict[str, Any]],
) -> None:
    for name in SERVICES:
        for port in services[name].get("ports", ()):
            assert name == "edge"
            assert port["target"] == int(services[name]["environment"]["PENSTOCK_PORT"])
    for name, each in services.items():
        assert all(port["host_ip"] == "127.0.0.1" for port in each.get("ports", ())), name


def test_each_container_mounts_its_own_secrets_and_no_other_ones(services: dict[str, dict[str, Any]]) -> None:
    for name, each in services.items():
        mounted = {volume["source"] for volume in each.get("volumes", ()) if volume["type"] == "volume"}
        secret = {volume for volume in mounted if volume.endswith("-secrets")}
        if name == "init":
            assert secret | {"keys"} <= mounted
            assert secret == {f"{service}-secrets" for service in ALSO}
            continue
        assert "keys" not in mounted, name
        if each in ours(services).values():
            assert secret == {f"{name if name in SERVICES else 'cli'}-secrets"}, name
            assert all(v["read_only"] for v in each["volumes"] if v["source"].endswith("-secrets")), name


def test_what_is_mounted_from_here_is_here(services: dict[str, dict[str, Any]]) -> None:
    for name, each in services.items():
        for volume in each.get("volumes", ()):
            if volume["type"] == "bind":
                assert Path(volume["source"]).exists(), f"{name}: {volume['source']}"
                assert volume["read_only"], name


def test_the_example_has_every_variable_with_its_default() -> None:
    used: dict[str, str] = {}
    for file in sorted(FOLDER.glob("*.yaml")):
        used |= dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", file.read_text(encoding="utf-8")))
    cluster_urls = "nats://nats:4222,nats://nats-2:4222,nats://nats-3:4222"
    assert used.pop("PENSTOCK_NATS_URL") in {"nats://nats:4222", cluster_urls}
    used.pop("USER")
    example = (FOLDER / ".env.example").read_text(encoding="utf-8")
    assert dict(re.findall(r"^#([A-Z_]+)=(.*)$", example, re.MULTILINE)) == used


def test_who_uses_stores_of_your_own_reaches_them_and_has_what_they_ask_for() -> None:
    found = read(*COMBINATIONS["own stores"])
    outside = {name for name, network in found["networks"].items() if not network.get("internal")}
    wanted = {
        "PENSTOCK_ELASTICSEARCH_URL": {"PENSTOCK_ELASTICSEARCH_API_KEY_FILE", "PENSTOCK_ELASTICSEARCH_CA_FILE"},
        "PENSTOCK_CASSANDRA_HOSTS": {"PENSTOCK_CASSANDRA_CA_FILE", "PENSTOCK_CASSANDRA_SERVER_NAME"},
    }
    for name in (*(RUNNING - {"edge"}), "trainer", "tables"):
        each = found["services"][name]
        assert outside & each["networks"].keys(), name
        variables, mounted = each["environment"], {secret["source"] for secret in each.get("secrets", ())}
        for store, others in wanted.items():
            assert others <= variables.keys() if store in variables else not others & variables.keys(), name
        files = {value for variable, value in variables.items() if variable.endswith("_FILE")}
        own = {f"/run/secrets/{secret}" for secret in mounted}
        assert own == {file for file in files if not file.startswith("/run/secrets/penstock/")}, name
    keys = {found["services"][name]["secrets"][0]["source"] for name in ("indexer", "trainer")}
    assert keys == {"indexer_api_key", "trainer_api_key"}
    alone = read(*COMBINATIONS["one machine"])
    assert not [name for name in ("indexer", "writer", "trainer") if "front" in alone["services"][name]["networks"]]


def test_a_cluster_has_two_of_each_worker_and_three_replicas_of_each_stream() -> None:
    services = read(*COMBINATIONS["cluster"])["services"]
    assert {name for name, each in services.items() if each.get("deploy", {}).get("replicas") == 2} == RUNNING - {
        "edge"
    }
    assert services["streams"]["command"] == ["provision", "--replicas", "3"]
    servers = [name for name in services if re.fullmatch(r"nats(-\d)?", name)]
    assert services["init"]["command"][-1].split(",") == servers
    assert all(f"nats://{name}:4222" in services["ingress"]["environment"]["PENSTOCK_NATS_URL"] for name in servers)
    for name in servers:
        lame_duck = sum(map(seconds, LAME_DUCK.values()))
        assert seconds(services[name]["stop_grace_period"]) >= lame_duck + 10, name
        [conf] = [each["target"] for each in services[name]["volumes"] if each["source"].endswith("conf")]
        assert in_container(name, tuple(servers), "").routes_tls.startswith(f"{conf}/")
    data = {services[name]["volumes"][-1]["source"] for name in servers}
    assert len(data) == len(servers)


def test_the_image_has_a_folder_for_each_volume_that_init_fills() -> None:
    services = read(*COMBINATIONS["cluster"])["services"]
    wanted = {volume["target"].removeprefix("/deploy/") for volume in services["init"]["volumes"]}
    loop = re.search(r"for name in (.*?); do", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.DOTALL)
    assert loop
    assert wanted <= set(loop[1].replace("\\", "").split())


def test_what_prometheus_asks_is_what_there_is() -> None:
    text = (FOLDER / "observe" / "prometheus.yaml").read_text(encoding="utf-8")
    named = {name.strip() for names in re.findall(r"names: \[(.*?)\]", text) for name in names.split(",")}
    assert named == RUNNING
    assert f"port: {listens('edge')}" in text


def listens(name: str) -> int:
    """The port of /readyz in a container."""
    return 7400 + OFFSETS["edge_stats"] if name == "edge" else 8080


def variables(*settings: type[BaseSettings]) -> set[str]:
    """The environment variables that the settings read."""
    return {f"{each.model_config['env_prefix']}{field}".upper() for each in settings for field in each.model_fields}


def seconds(duration: str) -> float:
    """Of compose's notation, for example 1m10s."""
    return sum(float(number) * {"s": 1, "m": 60}[unit] for number, unit in re.findall(r"([\d.]+)([sm])", duration))
