"""Plan → haproxy.cfg. Pure: the same plan gives the same text."""

from __future__ import annotations

import string
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from penstock.services.edge import problems, tokens
from penstock.services.edge.plan import Plan, Reader

TEMPLATES = Path(__file__).parent / "templates"


# The names of a cluster come and go with its processes.
_RESOLVERS = """\
resolvers system
    parse-resolv-conf
    accepted_payload_size 8192
    hold valid 5s
"""
STATS_CONNECTIONS = 100  # of monitoring; whatever the others hold, these are left
READER_CONNECTIONS = 400


class _Template(string.Template):
    """`@{name}`, since `$` and `%` mean something to HAProxy."""

    delimiter = "@"


def render(plan: Plan) -> str:
    """The configuration. Raises Refused EDGE_INVALID for what cannot be written in one."""
    text = _fill("edge.cfg", _names(plan))
    if plan.reader is not None:
        text += _fill("reader.cfg", _reader_names(plan, plan.reader))
    text = problems.expand(text, count_refused=plan.limits.refused > 0)
    return text.replace("<digest>", digest(text))


def digest(text: str) -> str:
    """A short name of a configuration."""
    return sha256(text.encode()).hexdigest()[:16]


def _fill(name: str, values: dict[str, object]) -> str:
    return _Template((TEMPLATES / name).read_text(encoding="utf-8")).substitute(values)


def _names(plan: Plan) -> dict[str, object]:
    limits = plan.limits
    return {
        "host": plan.host,
        "port": plan.port,
        "stats_port": plan.stats_port,
        "peer_port": plan.peer_port,
        "certificate": tokens.plain_path(str(plan.certificate)),
        "certificate_digest": plan.certificate_digest,
        "admin": tokens.socket_path(str(plan.admin)),
        "socket": tokens.socket_path(str(plan.socket)),
        **_threads(plan.threads),
        "all_connections": 2 * limits.connections + STATS_CONNECTIONS + (READER_CONNECTIONS if plan.reader else 0),
        "connections": limits.connections,
        "address_connections": limits.address_connections,
        "handshake": limits.handshake,
        "stats_connections": STATS_CONNECTIONS,
        "proof": tokens.plain_path(str(plan.proof)),
        "drain": limits.drain,
        "rate": limits.rate,
        "window": limits.window,
        "expire": 2 * limits.window,
        "open": limits.open,
        "body": limits.body,
        "addresses": _block(_addresses(limits.refused, limits.window)),
        "bearer_keys": _block([] if plan.bearer_keys else ["refuse UNAUTHENTICATED 'keys are not taken here' if key"]),
        "issuers": _block(tokens.rules(plan.issuers, plan.keys)),
        "servers": _block(_servers(plan)),
        "tail_servers": _block(f"{server} track ingress/{server.split()[1]}" for server in _servers(plan)),
        "resolvers": _RESOLVERS if plan.slots else "",
        "digest": "<digest>",
    }


def _reader_names(plan: Plan, reader: Reader) -> dict[str, object]:
    return {
        "host": plan.host,
        "port": reader.port,
        "certificate": tokens.plain_path(str(plan.certificate)),
        "credential": reader.credential,
        "connections": READER_CONNECTIONS,
        "address_connections": READER_CONNECTIONS // 2,
        **_threads(plan.threads),
        "servers": _block(f"server elasticsearch_{n} {address}" for n, address in enumerate(reader.servers)),
    }


def _threads(each: int) -> dict[str, object]:
    return {"all_threads": 2 * each, "tls_threads": f"1-{each}", "rule_threads": f"{each + 1}-{2 * each}"}


def _addresses(most: int, window: int) -> list[str]:
    """Rules against who tries many credentials; they run before any credential is looked at."""
    if not most:
        return []
    return [
        "http-request track-sc2 src table addresses",
        f"refuse RATE_LIMITED after {window} 'too many refused credentials from this address' "
        f"if {{ sc2_gpc0_rate(addresses) gt {most} }}",
        f"http-response {problems.COUNT_REFUSED} if {{ status 401 }}",
    ]


def _servers(plan: Plan) -> list[str]:
    if plan.slots:
        [address] = plan.ingress
        found = (f"ingress_{number} {address} resolvers system init-addr none" for number in range(plan.slots))
    else:
        found = (f"ingress_{number} {address}" for number, address in enumerate(plan.ingress))
    return [f"server {each}" for each in found]


def _block(lines: Iterable[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)
