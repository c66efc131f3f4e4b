"""A folder with a small certificate authority, and one certificate from it: the edge's, or that of the NATS servers.

`ca.pem` is for clients (curl --cacert), `edge.pem` (certificate and key) for the edge. The authority may sign these
names and this machine's addresses only, so that whoever steals its key cannot pretend to be anybody else.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from penstock import atomic_file

LIFE = datetime.timedelta(days=365)
LEAST_LEFT = datetime.timedelta(days=30)
LOCAL = ("127.0.0.0/8", "::1/128")
ADDRESSES = ("127.0.0.1", "::1")
NAMES = ("localhost",)
SERVERS_FILE = "server.pem"


def ensure(folder: Path, names: Sequence[str] = NAMES, *, servers: bool = False) -> Path:
    """The authority's certificate. Makes what is missing, a new edge.pem a month before it expires, and both for other
    names, or IP addresses, than before. `servers`: SERVERS_FILE instead, with which servers connect to each other."""
    authority, edge = folder / "ca.pem", folder / (SERVERS_FILE if servers else "edge.pem")
    if not authority.exists() or _left(authority) < LIFE or _names(authority) != list(names):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _authority(key, names)
        atomic_file.replace(folder / "ca.key", _private(key), mode=0o600)
        atomic_file.replace(authority, certificate.public_bytes(Encoding.PEM), mode=0o644)
        edge.unlink(missing_ok=True)
    if not edge.exists() or _left(edge) < LEAST_LEFT:
        issuer_key = load_pem_private_key((folder / "ca.key").read_bytes(), None)
        assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)  # noqa: S101 - we made it
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _edge(key, issuer_key, x509.load_pem_x509_certificate(authority.read_bytes()), names, servers)
        atomic_file.replace(edge, certificate.public_bytes(Encoding.PEM) + _private(key), mode=0o600)
    return authority


def _authority(key: ec.EllipticCurvePrivateKey, names: Sequence[str]) -> x509.Certificate:
    name = _name(f"Penstock local authority {os.urandom(4).hex()}")
    permitted: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_network(network)) for network in LOCAL]
    return (
        _builder(name, name, key, 10 * LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.NameConstraints([*map(_permitted, names), *permitted], None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _edge(
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate,
    names: Sequence[str],
    servers: bool,
) -> x509.Certificate:
    alternatives = dict.fromkeys(map(_alternative, (*names, *ADDRESSES)))
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, *([ExtendedKeyUsageOID.CLIENT_AUTH] if servers else [])]
    # Servers keep theirs as long as their authority: one that expired would part them at the next lost connection.
    return (
        _builder(_name("NATS" if servers else "Penstock edge"), issuer.subject, key, 10 * LIFE if servers else LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, life: datetime.timedelta
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # clocks of clients may be behind
        .not_valid_after(now + life)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _alternative(name: str) -> x509.GeneralName:
    address = _address(name)
    return x509.IPAddress(address) if address else x509.DNSName(name)


def _permitted(name: str) -> x509.GeneralName:
    address = _address(name)
    return x509.IPAddress(ipaddress.ip_network(address)) if address else x509.DNSName(name)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _names(authority: Path) -> list[str]:
    """The names and addresses that it may sign beside those of this machine, in order."""
    certificate = x509.load_pem_x509_certificate(authority.read_bytes())
    permitted = certificate.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or ()
    found = [str(each.value).removesuffix("/32").removesuffix("/128") for each in permitted]
    return found[: -len(LOCAL)]


def _left(path: Path) -> datetime.timedelta:
    expires = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    return expires - datetime.datetime.now(datetime.UTC)
