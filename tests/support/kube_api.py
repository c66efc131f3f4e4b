"""A real kube-apiserver with its etcd, no controllers, no nodes; tests/deploy/build_apiserver.sh builds both."""

from __future__ import annotations

import json
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from penstock.stack.place import Place

FOLDER = Place().cache / "kubernetes-1.37.2"
DEFINITION = FOLDER / "keda-2.21.0.yaml"
ISSUER = "https://kubernetes.default.svc.cluster.local"
MISSING = f"no API server in {FOLDER}; tests/deploy/build_apiserver.sh builds it"
_TOKEN = "admin-of-this-test"
_START_SECONDS = 90.0


def is_built() -> bool:
    """Whether the servers are there."""
    return all((FOLDER / name).exists() for name in ("kube-apiserver", "etcd")) and DEFINITION.exists()


class KubeApi:
    """A running API server. `http` is its administrator's client."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.url = f"https://127.0.0.1:{port}"
        self.authority = folder / "certificates" / "apiserver.crt"
        self.http: httpx.Client

    def connect(self, token: str = _TOKEN) -> httpx.Client:
        """A client with this token."""
        context = ssl.create_default_context(cafile=str(self.authority))
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, verify=context, timeout=30, headers=headers)

    @property
    def kubeconfig(self) -> str:
        """For Helm, as administrator."""
        cluster = {"server": self.url, "certificate-authority": str(self.authority)}
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "test", "cluster": cluster}],
                "users": [{"name": "admin", "user": {"token": _TOKEN}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
                "current-context": "test",
            }
        )

    def create(self, path: str, body: dict[str, Any], **parameters: str) -> httpx.Response:
        """The answer to a POST, with unknown fields refused."""
        return self.http.post(path, json=body, params={"fieldValidation": "Strict", **parameters})

    def plural(self, api_version: str, kind: str) -> str:
        """The path of a kind's collection in a namespace, with `{}` for the namespace."""
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        found = self.http.get(root).raise_for_status().json()["resources"]
        name = next(each["name"] for each in found if each["kind"] == kind and "/" not in each["name"])
        return f"{root}/namespaces/{{}}/{name}"

    def everything(self, namespace: str) -> set[tuple[str, str]]:
        """Kind and name of every object of the namespace."""
        groups = self.http.get("/apis").raise_for_status().json()["groups"]
        roots = ["/api/v1", *(f"/apis/{each['preferredVersion']['groupVersion']}" for each in groups)]
        found: set[tuple[str, str]] = set()
        for root in roots:
            for kind in self.http.get(root).raise_for_status().json()["resources"]:
                if kind["namespaced"] and "list" in kind["verbs"] and "create" in kind["verbs"]:
                    items = self.http.get(f"{root}/namespaces/{namespace}/{kind['name']}").raise_for_status().json()
                    found |= {(kind["kind"], each["metadata"]["name"]) for each in items["items"]}
        return found


@contextmanager
def running(folder: Path, ports: tuple[int, int, int]) -> Iterator[KubeApi]:
    """The server on the first port, etcd on the others; both are ended, in turn, as their stop takes a while."""
    api = KubeApi(folder, ports[0])
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    (folder / "accounts.key").write_bytes(pem)
    (folder / "tokens.csv").write_text(f"{_TOKEN},admin,admin,system:masters\n")
    etcd = f"http://127.0.0.1:{ports[1]}"
    commands = [
        [
            str(FOLDER / "etcd"),
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{ports[2]}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{ports[2]}",
            f"--initial-cluster=default=http://127.0.0.1:{ports[2]}",
        ],
        [
            str(FOLDER / "kube-apiserver"),
            f"--etcd-servers={etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={ports[0]}",
            f"--cert-dir={folder / 'certificates'}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={folder / 'accounts.key'}",
            f"--service-account-signing-key-file={folder / 'accounts.key'}",
            "--service-cluster-ip-range=10.96.0.0/24",
            "--disable-admission-plugins=ServiceAccount",
        ],
    ]
    processes = []
    try:
        for command in commands:
            with (folder / f"{Path(command[0]).name}.log").open("wb") as log:
                processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        _wait(api)
        with api.connect() as api.http:
            yield api
    finally:
        for process in reversed(processes):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(api: KubeApi) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with api.connect() as http:
                if http.get("/readyz").status_code == 200:
                    return
        except (OSError, httpx.HTTPError):
            pass
        assert time.monotonic() < deadline, (api.folder / "kube-apiserver.log").read_text()[-2000:]
        time.sleep(0.1)
