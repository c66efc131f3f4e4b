"""access token (RFC 9068) → signature, issuer, audience, times → who issued it for whom.

    TokenVerifier      the port: verify(token) → Claims
    └── OidcVerifier   tokens of the issuers in issuers.yaml, checked with python-jose

Nothing here logs or repeats a token. Error details name the rule that was broken and at most short header values.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from jose import jwt  # type: ignore[import-untyped]
from jose.exceptions import ExpiredSignatureError, JOSEError, JWTClaimsError  # type: ignore[import-untyped]

from penstock.auth.issuers import Gives, Issuer
from penstock.auth.jwks import KeySet, SigningKey
from penstock.errors import Refused

LONGEST_TOKEN = 8 * 1024  # characters
MOST_CACHED = 10_000
MOST_GROUPS = 500
_TYPES = {"jwt", "at+jwt", "application/at+jwt"}


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says. `client` and `groups` are empty unless its issuer may give them; times in Unix
    seconds; `gives` is what the issuer may prove."""

    issuer: str
    subject: str
    client: str
    groups: tuple[str, ...]
    expires_at: int
    token_id: str
    gives: frozenset[Gives]


class TokenVerifier(Protocol):
    """Says whether a token is good, and whose."""

    async def verify(self, token: str) -> Claims:
        """Raises Refused TOKEN_INVALID or TOKEN_EXPIRED, Unavailable ISSUER_UNAVAILABLE."""
        ...


class OidcVerifier:
    """Verifies tokens of several issuers; a result is kept until the token expires or its key is withdrawn.

    `now` gives Unix seconds, `clock` seconds that never go back.
    """

    def __init__(
        self,
        issuers: Iterable[Issuer],
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuers = {each.issuer: (each, KeySet(each, clock)) for each in issuers}
        self._now = now
        self._cache: OrderedDict[bytes, tuple[Claims, SigningKey]] = OrderedDict()

    async def verify(self, token: str) -> Claims:
        """As the port says."""
        if not token or len(token) > LONGEST_TOKEN:
            _refuse(f"{len(token)} characters; a token has 1 to {LONGEST_TOKEN}")
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        if (known := await self._cached(digest)) is not None:
            return known
        issuer, keys, key_id, algorithm = self._announced(token)
        key = await keys.key(key_id)
        if key is None:
            _refuse(f"issuer {issuer.issuer} has no key {_short(key_id)}")
        if algorithm not in key.by_algorithm:
            _refuse(f"key {_short(key_id)} is not for {algorithm}")
        claims = self._claims(issuer, _checked(token, issuer, key.by_algorithm[algorithm], algorithm))
        self._cache[digest] = (claims, key)
        if len(self._cache) > MOST_CACHED:
            self._cache.popitem(last=False)
        return claims

    async def _cached(self, digest: bytes) -> Claims | None:
        entry = self._cache.get(digest)
        if entry is None:
            return None
        claims, key = entry
        if claims.expires_at > self._now() and await self._issuers[claims.issuer][1].key(key.id) == key:
            return claims
        self._cache.pop(digest, None)  # to be verified again, which says what is wrong with it
        return None

    def _announced(self, token: str) -> tuple[Issuer, KeySet, str, str]:
        """What the token says of itself, of which nothing is proven yet: it only chooses the rules and the key."""
        try:
            header, body = jwt.get_unverified_header(token), jwt.get_unverified_claims(token)
        except (JOSEError, ValueError, TypeError, AttributeError):
            _refuse("it is no signed JWT")
        entry = self._issuers.get(body.get("iss")) if isinstance(body.get("iss"), str) else None
        if entry is None:
            _refuse(f"its issuer {_short(body.get('iss'))} is not one of those believed")
        issuer, keys = entry
        algorithm, key_id, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
        if algorithm not in issuer.algorithms:
            _refuse(f"algorithm {_short(algorithm)} is not allowed for issuer {issuer.issuer}")
        if not isinstance(key_id, str):
            _refuse("its header has no key id (kid)")
        if not isinstance(kind, str) or kind.lower() not in _TYPES:
            _refuse(f"type {_short(kind)} is not that of an access token")
        if "crit" in header:
            _refuse("its header has critical extensions, of which none is known here")
        return issuer, keys, key_id, str(algorithm)

    def _claims(self, issuer: Issuer, body: dict[str, Any]) -> Claims:
        subject = body["sub"]
        if not subject.strip() or len(subject) > 255:
            _refuse("its subject (sub) is empty or longer than 255 characters")
        return Claims(
            issuer=issuer.issuer,
            subject=subject,
            client=_client(issuer, body) if "clients" in issuer.gives else "",
            groups=_groups(issuer, body) if "groups" in issuer.gives else (),
            expires_at=int(body["exp"]),
            token_id=str(body.get("jti", ""))[:64],
            gives=issuer.gives,
        )


def _checked(token: str, issuer: Issuer, key: Any, algorithm: str) -> dict[str, Any]:
    required = dict.fromkeys(("require_exp", "require_sub", "require_aud", "require_iss", "require_iat"), True)
    try:
        body: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=issuer.audience,
            issuer=issuer.issuer,
            options={**required, "leeway": issuer.leeway, "verify_at_hash": False},
        )
    except ExpiredSignatureError:
        raise Refused("TOKEN_EXPIRED", "the token has expired") from None
    except JWTClaimsError as error:
        _refuse(f"claims: {error}")
    except (JOSEError, ValueError, TypeError, OverflowError) as error:
        _refuse(f"signature or claims: {str(error)[:100]}")
    return body


def _client(issuer: Issuer, body: dict[str, Any]) -> str:
    client = dig(body, issuer.client_claim)
    if not isinstance(client, str) or not client or "{" in client:
        return ""
    proven = all(dig(body, claim) == value.replace("{client}", client) for claim, value in issuer.client_proof.items())
    return client if proven else ""


def _groups(issuer: Issuer, body: dict[str, Any]) -> tuple[str, ...]:
    groups = dig(body, issuer.groups_claim)
    if not isinstance(groups, list):
        return ()
    if len(groups) > MOST_GROUPS:
        _refuse(f"it has more than {MOST_GROUPS} groups")
    return tuple(group.removeprefix("/") for group in groups if isinstance(group, str))


def dig(body: Any, path: str) -> Any:
    """The claim of that name, or the one that a dotted path leads to; None where there is none.

    The names on the path may have dots, too: `kubernetes.io.pod.name` leads to the pod's name in `kubernetes.io`.
    """
    if not isinstance(body, dict):
        return None
    if path in body:
        return body[path]
    dots = (place for place, character in enumerate(path) if character == ".")
    found = (dig(body.get(path[:place]), path[place + 1 :]) for place in dots)
    return next((value for value in found if value is not None), None)


def _short(value: object) -> str:
    return repr(value)[:80]


def _refuse(why: str) -> NoReturn:
    raise Refused("TOKEN_INVALID", f"the token is not accepted: {why}")
