"""What the edge says of a caller (X-Auth-Issuer, X-Auth-Subject) against what the ingress itself has verified.

The edge strips these fields from what clients send and sets them from the token that it has verified. The ingress does
not believe them: it verifies the same credentials again, and where the two disagree somebody is inside the network who
should not be, or one of the two reads tokens wrongly. An ingress without an edge never sees them.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from starlette.types import Scope

from penstock.errors import Refused

ISSUER, SUBJECT = b"x-auth-issuer", b"x-auth-subject"
RECEIVED = b"penstock-received"  # Unix microseconds at which the edge had the head of the request
MOST_APART_NS = 120 * 10**9
_FIELDS = (ISSUER, SUBJECT)


def must_agree(scope: Scope, issuer: str = "", subject: str = "") -> None:
    """Raises Refused UNAUTHENTICATED unless the edge says the same, or nothing; without arguments, unless nothing."""
    said = [(name, value) for name, value in scope["headers"] if name in _FIELDS]
    if not said:
        return
    verified = {(ISSUER, issuer.encode()), (SUBJECT, subject.encode())}
    if len(said) != len(_FIELDS) or {(name, unquote_to_bytes(value)) for name, value in said} != verified:
        raise Refused("UNAUTHENTICATED", "X-Auth-Issuer and X-Auth-Subject are not those of the credentials")


def received_ns(headers: dict[bytes, bytes], now_ns: int) -> int:
    """When the request came, in Unix nanoseconds: as the edge says, else now.

    The edge may send a request to a second ingress when the first one dies over it. An event without a time is stamped
    with this moment, so that it stays the same event. A caller who writes the field itself gains nothing: it may give
    its events any time within the bounds of their type.
    """
    text = headers.get(RECEIVED, b"")
    if text.isdigit() and len(text) <= 16:
        said = int(text) * 1000
        if abs(now_ns - said) < MOST_APART_NS:
            return said
    return now_ns
