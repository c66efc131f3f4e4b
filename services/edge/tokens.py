"""Issuers and their keys → the rules that are different for each issuer and key."""

from __future__ import annotations

import re
from collections.abc import Iterable

from penstock.auth.issuers import Issuer
from penstock.errors import Refused
from penstock.services.edge.plan import PublicKey

ALGORITHM = "RS256"
MOST_AUDIENCES = 8  # HAProxy 2.6 reads a list only element by element; of longer ones the ingress decides
MOST_GROUPS = 5  # for the log; what a group allows is decided by the ingress
MOST_SOCKET = 90  # of 107 characters; HAProxy needs some for a name of its own while it starts
_LITERAL = re.compile(r"[ !-&(-~]+\Z")  # printable ASCII without the quote that encloses it
_PATH = re.compile(r"[A-Za-z0-9_./+@-]+\Z")
_CLAIM_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\Z")


def rules(issuers: Iterable[Issuer], keys: Iterable[PublicKey]) -> list[str]:
    """Sets, for a token of one of the issuers: leeway, signed, audience and groups, as far as the token has them."""
    keys = list(keys)
    lines: list[str] = []
    for number, issuer in enumerate(issuers):
        if ALGORITHM in issuer.algorithms:
            lines += _issuer(number, issuer, [key for key in keys if key.issuer == issuer.issuer])
    return lines


def usable(key_id: str) -> bool:
    """Whether a key id can stand in a rule."""
    return len(key_id) <= 256 and _LITERAL.match(key_id) is not None


def _issuer(number: int, issuer: Issuer, keys: list[PublicKey]) -> list[str]:
    mine, set_ = f"issuer_{number}", "http-request set-var"
    return [
        f"acl {mine} var(txn.claimed) -m str -- {literal(issuer.issuer)}",
        f"{set_}(txn.leeway) int({issuer.leeway}) if token {mine}",
        *(
            f'{set_}(txn.signed) var(txn.bearer),jwt_verify("{ALGORITHM}","{plain_path(str(key.file))}") '
            f"if token {mine} {{ var(txn.kid) -m str -- {literal(key.id)} }}"
            for key in keys
        ),
        # Several lines of one name are one condition, true with the first of them that is.
        *(f"acl for_us_{number} {claim} -m str -- {literal(issuer.audience)}" for claim in _audiences()),
        f"acl for_us_{number} {_claim(f'$.aud[{MOST_AUDIENCES}]')} -m found",
        f"{set_}(txn.audience) str(known) if token {mine} for_us_{number}",
        *(rule.replace(" if ", f" if token {mine} ") for rule in _groups(issuer.groups_claim)),
    ]


def _audiences() -> list[str]:
    return [_claim("$.aud"), *(_claim(f"$.aud[{place}]") for place in range(MOST_AUDIENCES))]


def _groups(claim: str) -> list[str]:
    """The first groups, side by side; a claim whose name is no plain path stays unread."""
    if not _CLAIM_NAME.match(claim):
        return []
    rules = [f"http-request set-var(txn.groups) {_claim(f'$.{claim}[0]')} if TRUE"]
    for place in range(1, MOST_GROUPS):
        rules.append(
            f"http-request set-var(txn.group) {_claim(f'$.{claim}[{place}]')} if {{ var(txn.groups) -m found }}"
        )
        rules.append(
            "http-request set-var(txn.groups) var(txn.groups),concat(' ',txn.group) if { var(txn.group) -m found }"
        )
        rules.append("http-request unset-var(txn.group) if TRUE")
    return rules


def _claim(path: str) -> str:
    return f"var(txn.bearer),jwt_payload_query('{path}')"


def literal(text: str) -> str:
    """The text between quotes, as one word of the configuration. Raises Refused EDGE_INVALID."""
    if not _LITERAL.match(text):
        raise Refused("EDGE_INVALID", f"{text!r} cannot be written into haproxy.cfg: printable ASCII without ' only")
    return f"'{text}'"


def socket_path(text: str) -> str:
    """The same for a socket, whose path the kernel limits (unix(7)). Raises Refused EDGE_INVALID."""
    if len(text) > MOST_SOCKET:
        raise Refused(
            "EDGE_INVALID", f"the path {text!r} is too long for a socket; set PENSTOCK_STATE to a shorter one"
        )
    return plain_path(text)


def plain_path(text: str) -> str:
    """A path that needs no quotes. Raises Refused EDGE_INVALID."""
    if not _PATH.match(text):
        raise Refused("EDGE_INVALID", f"the path {text!r} has characters that haproxy.cfg cannot hold")
    return text
