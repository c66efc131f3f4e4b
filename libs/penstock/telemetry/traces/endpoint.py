"""OTEL_* → where spans go, and what they say of this process, as OpenTelemetry defines the variables."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from penstock.errors import Refused

DEFAULT = "http://localhost:4318"
TIMEOUT = 2.0  # seconds for an export with its retries; nobody waits for it but the stop
MOST_MILLISECONDS = 60_000


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OTLP/HTTP receiver."""

    url: str
    headers: Mapping[str, str] = field(repr=False)  # may hold credentials
    timeout: float
    gzip: bool
    tls: ssl.SSLContext | None


def endpoint(environment: Mapping[str, str]) -> Endpoint:
    """Where spans go. Raises Refused SETTING_INVALID."""

    def of(name: str) -> str:
        traces = environment.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}", "")
        return (traces or environment.get(f"OTEL_EXPORTER_OTLP_{name}", "")).strip()

    whole = environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "").strip()
    url = whole or f"{(of('ENDPOINT') or DEFAULT).rstrip('/')}/v1/traces"
    if not url.startswith(("http://", "https://")):
        raise Refused("SETTING_INVALID", f"OTEL_EXPORTER_OTLP_ENDPOINT is {url!r}, and no URL of HTTP")
    if of("PROTOCOL") not in ("", "http/protobuf"):
        raise Refused(
            "SETTING_INVALID", f"OTEL_EXPORTER_OTLP_PROTOCOL is {of('PROTOCOL')!r}; only http/protobuf is sent"
        )
    if of("COMPRESSION") not in ("", "none", "gzip"):
        raise Refused("SETTING_INVALID", f"OTEL_EXPORTER_OTLP_COMPRESSION is {of('COMPRESSION')!r}, not gzip or none")
    return Endpoint(url, pairs(of("HEADERS")), _timeout(of("TIMEOUT")), of("COMPRESSION") == "gzip", _tls(url, of))


def resource(environment: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """What spans say of this process: what the environment says, else its `own`."""
    found = {**own, **pairs(environment.get("OTEL_RESOURCE_ATTRIBUTES", ""))}
    if name := environment.get("OTEL_SERVICE_NAME", ""):
        found["service.name"] = name
    return found


def pairs(text: str) -> dict[str, str]:
    """`key=value,key=value`, percent-encoded; what is not so is left out."""
    parts = [part.partition("=") for part in text.split(",")]
    return {unquote(key.strip()): unquote(value.strip()) for key, equals, value in parts if equals and key.strip()}


def _timeout(text: str) -> float:
    """In seconds; OpenTelemetry's variables have milliseconds, as whole numbers."""
    if not text:
        return TIMEOUT
    if not re.fullmatch("[1-9][0-9]{0,4}", text) or int(text) > MOST_MILLISECONDS:
        raise Refused(
            "SETTING_INVALID",
            f"OTEL_EXPORTER_OTLP_TIMEOUT is {text[:20]!r}, not milliseconds between 1 and {MOST_MILLISECONDS}",
        )
    return int(text) / 1000


def _tls(url: str, of: Callable[[str], str]) -> ssl.SSLContext | None:
    if not url.startswith("https://"):
        return None
    try:
        context = ssl.create_default_context(cafile=of("CERTIFICATE") or None)
        if certificate := of("CLIENT_CERTIFICATE"):
            context.load_cert_chain(certificate, of("CLIENT_KEY") or None)
    except (OSError, ssl.SSLError) as error:
        raise Refused("SETTING_INVALID", f"a certificate of OTEL_EXPORTER_OTLP_* cannot be read: {error}") from error
    return context
