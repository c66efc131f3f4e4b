"""settings, issuers.yaml and the keys on disk → <state>/edge/haproxy.cfg, once HAProxy itself finds it valid."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from penstock import atomic_file, secret_file
from penstock.auth import edge_proof, issuers
from penstock.auth.issuers import Issuer
from penstock.elasticsearch.settings import ElasticsearchSettings
from penstock.errors import PenstockError, Refused
from penstock.services.edge import issuer_keys
from penstock.services.edge.plan import Limits, Plan, Reader
from penstock.services.edge.render import digest, render
from penstock.services.edge.settings import EdgeSettings

CHECK_SECONDS = 20.0
_NAME = re.compile(r'"configuration":"([0-9a-f]+)"')


@dataclass(frozen=True, slots=True)
class Folder:
    """Where the edge keeps its files."""

    root: Path

    @property
    def configuration(self) -> Path:
        """What HAProxy reads."""
        return self.root / "haproxy.cfg"

    @property
    def keys(self) -> Path:
        """Public keys of the issuers."""
        return self.root / "keys"

    @property
    def socket(self) -> Path:
        """Between the threads for TLS and those that know the rules."""
        return self.root / "ingress.sock"

    @property
    def admin(self) -> Path:
        """HAProxy's own command line."""
        return self.root / "admin.sock"

    @property
    def proof(self) -> Path:
        """What the edge shows the ingress, as a map of HAProxy."""
        return self.root / "proof.map"

    @property
    def process(self) -> Path:
        """Number of the master process."""
        return self.root / "haproxy.pid"


def folder(settings: ElasticsearchSettings) -> Folder:
    """The edge's folder, made if it is not there."""
    found = Folder(settings.state / "edge")
    found.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    return found


def trusted(settings: ElasticsearchSettings) -> tuple[Issuer, ...]:
    """The issuers; none where there is no file. Raises Refused ISSUERS_INVALID."""
    return issuers.read(settings.issuers) if settings.oidc else ()


def plan(settings: ElasticsearchSettings, edge: EdgeSettings) -> Plan:
    """What the settings ask for. Raises Refused EDGE_INVALID, CREDENTIALS_INVALID."""
    addresses = tuple(part.strip() for part in edge.ingress.split(",") if part.strip())
    if edge.ingress_slots and len(addresses) != 1:
        raise Refused("EDGE_INVALID", "with PENSTOCK_EDGE_INGRESS_SLOTS, PENSTOCK_EDGE_INGRESS is one DNS name:port")
    certificate = edge.certificate or settings.state / "tls" / "edge.pem"
    if not certificate.exists():
        raise Refused("EDGE_INVALID", f"{certificate} is not there: certificate and key in PEM, one after the other")
    return Plan(
        host=settings.host,
        port=settings.port or settings.local_port("edge"),
        stats_port=settings.local_port("edge_stats"),
        peer_port=settings.local_port("edge_peers"),
        certificate=certificate,
        certificate_digest=digest(certificate.read_text()),
        socket=folder(settings).socket,
        admin=folder(settings).admin,
        proof=folder(settings).proof,
        ingress=addresses or (f"127.0.0.1:{settings.local_port('ingress')}",),
        slots=edge.ingress_slots,
        bearer_keys=edge.bearer_keys,
        issuers=trusted(settings),
        keys=tuple(issuer_keys.known(folder(settings).keys)),
        limits=Limits(**{name: getattr(edge, name) for name in Limits.__dataclass_fields__}),
        threads=edge.threads,
        reader=_reader(settings) if edge.reader else None,
    )


def write(settings: ElasticsearchSettings, edge: EdgeSettings) -> bool:
    """Renders and puts in place; whether it is another than before. Raises Refused EDGE_INVALID as HAProxy says."""
    _write_proof(settings)
    text = render(plan(settings, edge))
    path = folder(settings).configuration
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    atomic_file.replace(path, text, check=check)
    return True


def name(path: Path) -> str:
    """The digest that a configuration on disk says of itself, as the process that serves it does."""
    found = _NAME.search(path.read_text(encoding="utf-8"))
    return found[1] if found else ""


def check(path: Path) -> None:
    """Raises Refused EDGE_INVALID unless HAProxy would start with the file."""
    command = [binary(), "-c", "-f", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CHECK_SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise Refused("EDGE_INVALID", f"HAProxy did not check the file within {CHECK_SECONDS:.0f} s") from None
    if done.returncode:
        raise Refused("EDGE_INVALID", f"HAProxy refuses the configuration: {done.stderr.strip()[-2000:]}")


def binary() -> str:
    """HAProxy. Raises TOOL_MISSING."""
    found = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
    if not found:
        raise PenstockError("TOOL_MISSING", "HAProxy is missing: apt-get install haproxy (or set PENSTOCK_EDGE=off)")
    return found


def _write_proof(settings: ElasticsearchSettings) -> None:
    secret = edge_proof.ensure(settings.secrets)
    path, text = folder(settings).proof, b"edge " + secret + b"\n"
    if not path.exists() or path.read_bytes() != text:
        atomic_file.replace(path, text)


def _reader(settings: ElasticsearchSettings) -> Reader | None:
    """None where Elasticsearch asks for credentials itself: there, make readers an API key of theirs."""
    urls = [url.strip() for url in settings.elasticsearch.split(",")]
    if not all(url.startswith("http://") for url in urls):
        return None
    secret = secret_file.ensure(settings.secrets / "elasticsearch_reader", secret_file.random_text)
    return Reader(
        port=settings.local_port("elasticsearch_reader"),
        credential=sha256(b"ApiKey " + secret).hexdigest().upper(),
        servers=tuple(url.removeprefix("http://").rstrip("/") for url in urls),
    )
