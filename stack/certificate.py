"""<state>/tls: a certificate authority of this machine only, and the edge's certificate from it.

`ca.pem` is for clients (curl --cacert), `edge.pem` (certificate and key) for the edge. The authority may sign names of
this machine only, so that whoever steals its key cannot pretend to be anybody else.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
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
from penstock.stack.place import Place

LIFE = datetime.timedelta(days=365)
LEAST_LEFT = datetime.timedelta(days=30)
LOCAL = ("127.0.0.0/8", "::1/128")
ADDRESSES = ("127.0.0.1", "::1")


def ensure(place: Place) -> Path:
    """The authority's certificate. Makes what is missing, and a new edge.pem a month before it expires."""
    folder = place.folder("tls")
    authority, edge = folder / "ca.pem", folder / "edge.pem"
    if not authority.exists() or _left(authority) < LIFE:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _authority(key)
        atomic_file.replace(folder / "ca.key", _private(key), mode=0o600)
        atomic_file.replace(authority, certificate.public_bytes(Encoding.PEM), mode=0o644)
        edge.unlink(missing_ok=True)
    if not edge.exists() or _left(edge) < LEAST_LEFT:
        issuer_key = load_pem_private_key((folder / "ca.key").read_bytes(), None)
        assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)  # noqa: S101 - we made it
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _edge(key, issuer_key, x509.load_pem_x509_certificate(authority.read_bytes()))
        atomic_file.replace(edge, certificate.public_bytes(Encoding.PEM) + _private(key), mode=0o600)
    return authority


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = _name(f"Penstock local authority {os.urandom(4).hex()}")
    permitted: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_network(network)) for network in LOCAL]
    return (
        _builder(name, name, key, 10 * LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.NameConstraints([x509.DNSName("localhost"), *permitted], None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _edge(
    key: ec.EllipticCurvePrivateKey, issuer_key: ec.EllipticCurvePrivateKey, issuer: x509.Certificate
) -> x509.Certificate:
    names = [x509.DNSName("localhost"), *(x509.IPAddress(ipaddress.ip_address(each)) for each in ADDRESSES)]
    return (
        _builder(_name("Penstock edge"), issuer.subject, key, LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
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


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _left(path: Path) -> datetime.timedelta:
    expires = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    return expires - datetime.datetime.now(datetime.UTC)
