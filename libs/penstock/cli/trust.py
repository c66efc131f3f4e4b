"""Which certificates the commands trust: the usual authorities, that of the local stack, and PENSTOCK_CA_FILE's."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import httpx

from penstock.errors import Refused
from penstock.settings import load_settings


def trusted(url: str) -> ssl.SSLContext | bool:
    """`verify` of an HTTP client for this URL. Raises Refused FILE_UNUSABLE when PENSTOCK_CA_FILE holds none."""
    if not url.startswith("https:"):
        return True
    context = httpx.create_ssl_context()
    named = os.environ.get("PENSTOCK_CA_FILE")
    local = load_settings().state / "tls" / "ca.pem"  # it may sign for this machine only (stack/certificate.py)
    for file in [Path(named)] if named else [local] if local.exists() else []:
        try:
            context.load_verify_locations(cafile=str(file))
        except OSError as error:
            reason = "it holds no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
            raise Refused("FILE_UNUSABLE", f"{file}: {reason}") from None
    return context


def must_be_trusted(url: str, error: BaseException | None) -> None:
    """Raises Refused CERTIFICATE_UNTRUSTED when that is why a connection failed."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            raise Refused("CERTIFICATE_UNTRUSTED", f"the certificate of {url}: {error.verify_message}") from None
        error = error.__cause__ or error.__context__
