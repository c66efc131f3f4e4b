"""The secrets of a fleet in containers: who needs which files, and one folder for each with those and no others.

FOLDER/keys/<everything>     the master copy; what is missing is made, what is there stays
FOLDER/<service>/<file>      what a container mounts as /run/secrets/penstock
FOLDER/<NATS server>/        nats.conf, with public keys; in a cluster also the password of the routes between the
                             servers, and routes/ with their certificate: as secret as the others
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from penstock import atomic_file, secret_file
from penstock.audit.seal import KEY_FILE, KEYS_FILE, Signer
from penstock.auth import callout_keys, edge_proof, nkey_files
from penstock.contracts import Contracts
from penstock.errors import Refused
from penstock.provisioning import certificate, nats_conf
from penstock.provisioning.nats_server import TLS_FOLDER, in_container
from penstock.settings import Settings

MASTER = "keys"
CASSANDRA_WRITER, CASSANDRA_ADMIN, READER = "cassandra_writer", "cassandra_admin", "elasticsearch_reader"
ROUTES = "nats_routes"
PASSWORDS = (CASSANDRA_WRITER, CASSANDRA_ADMIN, READER, ROUTES)

# What a service reads besides <service>.nk, its own identity.
ALSO: dict[str, tuple[str, ...]] = {
    "ingress": ("edge_proof",),
    "indexer": (),
    "writer": (CASSANDRA_WRITER,),
    "scorer": (),
    "trainer": (),
    "operator": (),
    "auditor": (KEY_FILE, KEYS_FILE, "*.pub"),
    "authority": (callout_keys.ISSUER_FILE, callout_keys.XKEY_FILE),
    "edge": ("edge_proof", READER, "edge.pem"),
    # An administrator's commands, and the jobs: streams, tables, API keys, the audit trail, replays.
    "cli": (
        *(f"{identity}.nk" for identity in ("provision", "warden", "examiner", "replayer")),
        CASSANDRA_WRITER,
        CASSANDRA_ADMIN,
        KEYS_FILE,
        "ca.pem",
    ),
}


def write(contracts: Contracts, folder: Path, settings: Settings, names: Sequence[str], servers: Sequence[str]) -> None:
    """Makes what is missing and gives each service its files. `names`: DNS names of the edge; `servers`: host names of
    the NATS servers. Idempotent.

    Raises Refused CREDENTIALS_INVALID for a file that is damaged, that others may read, or that is a folder.
    """
    master = folder / MASTER
    public = nkey_files.ensure(contracts, master)
    callout = callout_keys.ensure(master)
    edge_proof.ensure(master)
    for name in PASSWORDS:
        secret_file.ensure(master / name, secret_file.random_text)
    Signer(master)
    certificate.ensure(master, names)
    for service, also in ALSO.items():
        _give(master, folder / service, (f"{service}.nk", *also))
    routes = secret_file.read(master / ROUTES).decode()
    if len(servers) > 1:
        certificate.ensure(master / TLS_FOLDER, servers, servers=True)
        for server in servers:
            _give(master / TLS_FOLDER, folder / server / TLS_FOLDER, ("ca.pem", certificate.SERVERS_FILE))
    for server in servers:
        options = in_container(server, tuple(servers), routes)
        used = callout if settings.auth == "callout" else None
        text = nats_conf.render(contracts, public, settings, used, options)
        atomic_file.replace(folder / server / "nats.conf", text)


def _give(master: Path, folder: Path, patterns: Iterable[str]) -> None:
    """Copies the files, and removes those that were for this service once; what is not of here stays."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    wanted = {path.name: path for pattern in patterns for path in master.glob(pattern)}
    for path in master.iterdir():
        if path.name not in wanted and (once := folder / path.name).is_file():
            once.unlink()
    for name, path in wanted.items():
        content, found = path.read_bytes(), folder / name
        if found.is_dir():
            raise Refused("CREDENTIALS_INVALID", f"{found} is a folder, and the file of that name belongs there")
        if not found.exists() or found.read_bytes() != content:
            atomic_file.replace(found, content, mode=path.stat().st_mode & 0o777)
